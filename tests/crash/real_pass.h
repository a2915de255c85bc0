// SPDX-License-Identifier: MIT
// real_pass.h: one case, in a segment of its own file, whose process is killed by SIGKILL behind an instruction that
// stored into the segment, or on the point of storing; another process takes the locks, checks, and looks.
//
// What the sweep declares in a copy happens here: the kernel marks the death note, releases the life lock, closes what
// was open. One process dies a stop, from a fresh segment each. Behind some stops the recoverer is killed, too, behind
// each store of his, from the same dead's segment each; a third process must find what he would have left.
#pragma once

#include <cstdint>
#include <string>

#include "crash/cases.h"

namespace shoal::crash {

struct RealPassResult {
  std::string problems;   // empty = nothing was wrong
  bool differed = false;  // two runs of the operation ended differently
  uint64_t stops = 0;     // places to die at, two a storing instruction
  uint64_t kills = 0;
  uint64_t recoverer_kills = 0;
  uint64_t missed = 0, missed_by_recoverers = 0;  // ended before they came to their stop
  uint64_t longest_recovery_ns = 0;
};

// At `kills_max` of the stops, drawn by `seed`; at all of them if there are no more. Behind `recovered_max` of those
// the recoverer dies, too, at so many of his stores.
RealPassResult real_pass(const Case& of, uint64_t kills_max, uint64_t recovered_max, uint64_t seed);

}  // namespace shoal::crash
