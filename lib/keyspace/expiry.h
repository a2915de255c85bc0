// SPDX-License-Identifier: MIT
// expiry.h: finding the keys whose time has come before anybody asks for them. For the daemon: readers take such keys
// for missing and writers delete them, so nobody depends on it for more than memory.
//
// A pass walks all keys of a shard in small steps, each a transaction on that shard. Shard::next_expiry_ms says when
// the next pass is worth it: no key expires before. The pass sets it to "never" at its first step, writers lower it for
// what they set meanwhile, and the last step lowers it to the earliest time that the pass met. A daemon that dies in
// between leaves a bound that is too high: so the first pass of a daemon asks for no bound.
#pragma once

#include <cstdint>

#include "keyspace/keyspace.h"

namespace shoal::keyspace {

struct ExpiryPass {
  uint32_t cursor = 0;
  uint64_t earliest = UINT64_MAX;
  bool running = false;
};

// A pass is worth it: some key has an expiry, and the bound has been reached. No lock needed; a wrong answer is
// harmless.
bool expiry_due(const Segment& segment, uint32_t shard, int64_t now_ms) noexcept;

// One step. The caller holds the shard's lock by `tx` and commits; if that fails it goes on from the pass that it had.
// True: the pass is over. At most kExpiredInStep keys go, so that the journal of a step fits into a page.
inline constexpr uint32_t kExpiredInStep = 8;
bool expire_step(Transaction& tx, uint32_t shard, int64_t now_ms, ExpiryPass& pass) noexcept;

}  // namespace shoal::keyspace
