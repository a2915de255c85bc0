// SPDX-License-Identifier: MIT
// subscription.h: who listens to a channel, as publishers see it: one record per context and channel, with the number
// of subscribers in that thread. What a subscriber has read is his own business (subscriber.h).
//
// Changes run in a transaction that holds Name::shards(). A record whose context is retired or dead (a thread that
// ended without unsubscribing, a killed process) counts for nothing: publishers pass over it, remove_stale() takes it
// out.
// Dies at any line: undone with the transaction; remove_stale() may be run again from the start by anybody.
#pragma once

#include "channels/directory.h"

namespace shoal::channels {

// One more subscriber of this context. nullptr when the segment is full. `bit` is a wish; it becomes the bit of the
// record, that is of the context's first subscriber.
const shm::Channel* subscribe(Transaction& tx, const Name& name, uint32_t context_id, uint32_t& bit) noexcept;
// One subscriber less; the channel goes with the last one of all. Nothing if there is no such record.
void unsubscribe(Transaction& tx, const Name& name, uint64_t incarnation, uint32_t context_id) noexcept;

// Subscribers of living contexts. Under the lock.
uint64_t count_subscribers(const Segment& segment, const shm::Channel& channel) noexcept;

// Takes out what dead contexts left in one shard or in all of them: called when a slot is reaped, after its contexts
// were recovered, and from time to time for threads that ended. Returns how many records went.
Status remove_stale(Process& process, shm::Context& self, uint32_t shard, int64_t budget_ns,
                    uint64_t& removed) noexcept;
uint64_t remove_all_stale(Process& process, shm::Context& self, int64_t budget_ns = kLockBudgetNs) noexcept;

}  // namespace shoal::channels
