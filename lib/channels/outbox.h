// SPDX-License-Identifier: MIT
// outbox.h: messages that are published inside a transaction (MULTI/EXEC) leave with its commit, whoever dies.
//
//   in the transaction   post(): one block a message and ring, linked from Context::outbox, and room in the ring, all
//                        through the journal: the commit makes the posts true together with the rest; an undo
//                        forgets them; a full segment fails the transaction, not the message after it
//   after the unlock     flush(): for each block, from the first on
//                          1  lock the ring's shard; settle what `pending` names     2  posting.sequence = ring.next
//                          3  ring.pending = our context                              4  publish
//                          5  posting.done = 1                                        6  ring.pending = 0; unlock, wake
//                          7  a transaction: the outbox goes on to the next posting, this one is freed
//
// Every step is under the lock that the dead one held, but that lock falls free before his outbox is finished. So that
// nobody publishes in between and makes "was it published?" unanswerable, whoever finds `pending` under that lock
// settles it first: the ring's `next` still says posting.sequence: not published; or one more: published, done = 1.
// Then pending = 0. It means the FIRST posting of the outbox that it names: 7 comes after 6, in a recovery too, which
// goes to the ring of a posting that is done once more; else the next posting would be taken for the published one.
//
// A flush that meets a lock which is held too long stops there; so does a thread's own exit: it leaves its context as
// the dead do (Process), and is recovered.
//
//   dies in 1-2   nothing happened     3   settled: not published     4   settled: published     5   done, settled
//         6   done      7   undone, or gone; behind a dead one's last posting hints_owed is left, until all are told
//
// Context::outbox changes under the lock of one shard (outbox_shard), so a recoverer who died in 7 was recovered before
// another looks at the outbox.
//
// Recovery (finish_outbox) runs flush() in the name of the dead context; it may die, too, and be continued. It needs
// locks in any order, so a recoverer who holds some himself leaves the outbox to the next sweep.
#pragma once

#include <span>

#include "channels/publish.h"

namespace shoal::channels {

// PUBLISH in an open transaction that holds outbox_shards(): to the channel and to the patterns that match, if they are
// there now.
// Gives the receivers that they have now. Status: kRedisError for a message that is too large. The transaction may have
// failed: without room for the message, or because a pattern came that needs more shards (Transaction::want_shards).
Status post(Transaction& tx, Bytes channel, Bytes data, uint64_t& receivers) noexcept;
// The shards that post() needs: the channel's, shard 0 for the list of patterns; all of them if there are patterns.
uint64_t outbox_shards(const Segment& segment, Bytes channel) noexcept;

// A PUBLISH to a channel and the patterns that match, whole: to all of them or, whoever dies, to none. `result` as of
// publish().
Status publish_to_all(Process& process, shm::Context& self, const Name& channel, std::span<const Name* const> patterns,
                      Bytes data, int64_t budget_ns, Published& result) noexcept;

// After commit and unlock: publishes what `owner`'s outbox holds; by its own thread or by its recoverer. Stops at the
// first error, and of each lock after `budget_ns`: the rest stays, before whatever this thread publishes later. Whoever
// gave an event loop's budget calls again by a timer; the outbox of a thread that ends is its recoverer's.
// `result`: the position of the last message to a channel.
Status flush(Process& process, shm::Context& self, shm::Context& owner, int64_t budget_ns,
             Published* result = nullptr) noexcept;
inline bool has_outbox(const shm::Context& context) noexcept { return context.outbox > kHintsOwed; }

// Before anything is published to a ring, under its lock: what a dead publisher left undecided is decided.
void settle_pending(Segment& segment, shm::Ring& ring) noexcept;

// What recovery calls for a dead context whose outbox word is not 0: false = not now, leave it to a later sweep. It may
// be an event loop that met the dead one's lock, so it waits no longer than that may.
bool finish_outbox(Process& process, uint32_t self, shm::Context& dead) noexcept;

}  // namespace shoal::channels
