// SPDX-License-Identifier: MIT
// publish.h: the life of a PUBLISH.
//
//   1  look the name up, without a lock: no channel and no matching pattern, and it is over; nothing is left behind
//   2  lock the shard; if the ring must grow first: unlock, a transaction that makes it larger, lock again
//   3  hints_owed in our context, then the message into the ring: published (ring.h)
//   4  for each listening context: the bit of its subscription in Context::ready; who sleeps is noted
//   5  unlock; wake those who sleep, the first four of many (process/relay.h); hints_owed falls
//
// If it goes to more rings than one (patterns match) it is a transaction that posts it to each of them, and leaves with
// its commit (outbox.h): all of them get it, or none.
//
// Dies before 3: not published. Dies after: it is, and recovery, which finds hints_owed, sets all bits of all contexts
// and rings everybody, once (finish_outbox in outbox.h). No wake happens under a lock; no listener is ever waited for.
#pragma once

#include "channels/directory.h"

namespace shoal::channels {

struct Published {
  uint64_t receivers = 0;    // subscribers of the channel and of matching patterns, as Redis counts
  uint64_t incarnation = 0;  // the message's position in the channel; 0 = nobody listened and no history is kept, or it
                             // still lies in this thread's outbox (has_outbox), for a lock was held
  uint64_t sequence = 0;
  bool history_cut = false;  // the ring is at its limit and this message pushed out one that `keep` promises
};

// Errors: of the lock; kFull (a message needs a ring and there is no room); kRedisError for a message that is too
// large.
Status publish(Process& process, shm::Context& self, Bytes channel, Bytes data, int64_t budget_ns, Published& result);

inline constexpr Status kNameTooLong{Code::kRedisError, "ERR the channel's name is longer than 65535 bytes"};
// `number` says how large a message may be.
Status message_too_large(const Segment& segment) noexcept;

// Value of Context::outbox while hints are owed and no outbox is there; every other value but 0 is an offset.
inline constexpr uint64_t kHintsOwed = 1;

// One ring's part of it. The hook frames the publication itself, under the lock; wanted() = false: it is there already.
struct Message {
  Bytes channel;  // for a pattern's ring: where it was published
  Bytes data;
};
class PublishHook {
 public:
  virtual bool wanted() noexcept = 0;
  virtual void before(shm::Ring& ring) noexcept = 0;
  virtual void after(shm::Ring& ring) noexcept = 0;

 protected:
  ~PublishHook() = default;
};
Status publish_to(Process& process, shm::Context& self, const Name& target, const Message& message, int64_t budget_ns,
                  PublishHook* hook, Published& result) noexcept;

}  // namespace shoal::channels
