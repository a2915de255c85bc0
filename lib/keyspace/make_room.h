// SPDX-License-Identifier: MIT
// make_room.h: what was removed lazily is freed a little with each write to its shard; in a full segment whoever needs
// memory does not wait for that.
// Dies at any line: each step is a transaction of its own; what is left is freed by whoever comes next.
#pragma once

#include <cstdint>

#include "process/process.h"

namespace shoal::keyspace {

// Frees some of it, in the first shard where that works, from the lowest of `shards` on, or else brings blocks home
// that another shard's lists hold. In small steps, each with a journal of one page. The caller has no transaction open
// and holds no lock. False if there was nothing.
bool make_room(Process& process, uint64_t shards, int64_t budget_ns) noexcept;

// For a loop of attempts, one of which found no memory.
class MoreRoom {
 public:
  // Grows the segment by about so many bytes or, if it is full, makes room as above. Ok: try again; once also if there
  // was none to make, for somebody else may just have made it. Else what grow() says.
  // Ends by itself: what is removed by others meanwhile is all that can make it go on.
  Status find(Process& process, uint64_t shards, uint64_t wanted, int64_t budget_ns) noexcept;

 private:
  bool last_try_ = false;
};

}  // namespace shoal::keyspace
