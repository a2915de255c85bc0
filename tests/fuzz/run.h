// SPDX-License-Identifier: MIT
// run.h: what both fuzzers need: a process in a segment, and commands as lists of words.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "commands/check.h"
#include "commands/session.h"

namespace shoal::fuzz {

inline constexpr uint64_t kSegmentBytes = 4 * kMiB;

inline SegmentOptions tiny_options() {
  SegmentOptions options;
  options.max_size = kSegmentBytes;
  options.shard_count = 2;
  options.context_count = 16;
  options.slot_count = 4;
  options.first_commit = 2 * kMiB;
  return options;
}

[[noreturn]] inline void fail(const std::string& what) {
  std::fprintf(stderr, "fuzz: %s\n", what.c_str());
  std::abort();
}

inline std::shared_ptr<Process> attach(std::shared_ptr<Segment> segment) {
  auto attached = Process::attach(std::move(segment), shm::SlotRole::kClient);
  if (!attached.ok()) fail(describe(attached.status()));
  return std::move(attached).value();
}

inline Outcome run(Session& session, const std::vector<std::string>& words) {
  const std::vector<Bytes> arguments(words.begin(), words.end());
  return session.execute(arguments);
}

}  // namespace shoal::fuzz
