// SPDX-License-Identifier: MIT
// check.h: every invariant of a segment, walked: for tests, for `shoal check`, for whoever wants to know.
//
//   pages       free, claimed by a context, journal of a context, or owned by a shard; spans whole
//         (transaction/block_check.h)
//   blocks      each free or reached exactly once: dicts, entries, values, what waits for lazy freeing, and what the
//         parts add
//   keys        in the right shard and bucket, with the right tag; counts of keys and of expiries; versions; values
//         sound
//   shards      locks that name somebody, sequences even, nothing refused (transaction/suspect.h)
//   contexts    ids, generations, claims that name a slot in use, journals empty outside of transactions
//   slots       states and the high-water mark
//
// A layer that keeps blocks of its own (channels, queues, waiters) adds one line to the table of parts in check.cc.
// Damage is what it is for: it neither faults nor loops. It changes nothing.
#pragma once

#include <string>
#include <vector>

#include "process/process.h"
#include "transaction/block_check.h"

namespace shoal {

// A shard in which one operation killed three processes.
struct Conviction {
  uint32_t shard = 0;
  bool read_only = false;  // else nothing but the operation is refused
  std::string operation;   // a command, or what else takes locks
  std::string key;         // that it works on, any bytes; empty: there is none of its hash now, or it is no key
  uint64_t key_hash = 0;
};

struct CheckReport {
  std::vector<Finding> findings;
  std::vector<Conviction> convictions;  // each of them is a finding, too
  uint64_t keys = 0, graves = 0;        // graves: removed values whose blocks are freed bit by bit
  uint64_t blocks = 0, bytes = 0;       // reached
  uint64_t pages_free = 0, pages_owned = 0, pages_journal = 0;
  std::vector<uint64_t> bytes_by_class;  // reached, by size class; the last: in whole spans

  bool clean() const noexcept { return findings.empty(); }
  // All blocks and structures are as they should be.
  bool sound() const noexcept { return findings.size() == convictions.size(); }
};

// The caller holds the locks of all shards, or nobody else is at work.
CheckReport check(const Segment& segment);
// Takes the locks of all shards (recovering whoever died with one), checks, and frees them. Everybody else waits
// meanwhile.
Result<CheckReport> check_locked(Process& process, int64_t budget_ns);

// Takes the locks of all shards as well, checks, and lifts the convictions in a sound segment; with `force` those in a
// damaged one, too. The report tells how it was before. Dies at any line: some are lifted, and
// another repair finishes.
Result<CheckReport> repair_locked(Process& process, bool force, int64_t budget_ns);

std::string describe(const Finding& finding);
std::string describe(const Conviction& conviction);

}  // namespace shoal
