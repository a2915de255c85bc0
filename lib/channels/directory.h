// SPDX-License-Identifier: MIT
// directory.h: from a name to its channel: made on the first wish, gone with the last.
//
// A channel is there as long as somebody subscribes to it or it keeps a history; its ring is made by the first message
// and grows with what is published. Everything but look_up() runs under the lock of the name's shard, changes through a
// Transaction; making and removing a pattern also needs the lock of shard 0, which guards the list of all patterns.
//
// Who frees a channel or a block raises Shard::reader_epoch before: whoever reads a ring without the lock learns by it
// that what he read may have been somebody else's.
// Dies at any line: undone with the transaction.
#pragma once

#include <utility>

#include "channels/ring.h"
#include "keyspace/make_room.h"
#include "transaction/transaction.h"

namespace shoal::channels {

using shm::ChannelKind;

struct Name {
  Bytes text;
  ChannelKind kind = ChannelKind::kChannel;
  uint64_t hash = 0;
  uint32_t shard = 0;

  // The shards to lock for making or removing it.
  uint64_t shards() const noexcept { return uint64_t{1} << shard | (kind == ChannelKind::kPattern ? 1 : 0); }
};
Name name_of(const Segment& segment, ChannelKind kind, Bytes text) noexcept;

// What a message may weigh in this segment, name (of a pattern's message) and header included.
inline uint64_t message_bytes_max(const Segment& segment) noexcept {
  return shoal::message_bytes_max(ring_bytes_max(segment.header().max_size));
}

// ---- Under the lock ----

const shm::Channel* find(const Segment& segment, const Name& name) noexcept;
// nullptr when the segment is full.
const shm::Channel* find_or_create(Transaction& tx, const Name& name) noexcept;
// Removes the channel if nobody subscribes to it and it keeps no history.
void release_if_unused(Transaction& tx, const Name& name, const shm::Channel& channel) noexcept;
// The history that the channel keeps from now on; keep = 0: none.
void configure(Transaction& tx, const shm::Channel& channel, uint32_t keep, uint64_t ttl_ms) noexcept;
// Gives the ring a block of this capacity, what is whole copied. False when the segment is full.
bool resize_ring(Transaction& tx, const Name& name, const shm::Channel& channel, uint32_t capacity) noexcept;

// Room for a message of this size, header included, whatever is published before it. False when the segment is full.
bool reserve(Transaction& tx, const Name& name, const shm::Channel& channel, uint64_t size) noexcept;

RingBytes ring_bytes(const Segment& segment, const shm::Channel& channel) noexcept;
// The records are const to everybody; the protocol words of a ring are the publisher's.
inline shm::Channel& protocol_words(const shm::Channel& channel) noexcept { return const_cast<shm::Channel&>(channel); }

// ---- Without the lock ----

struct LookUp {
  const shm::Channel* channel = nullptr;  // nullptr: there is none
  uint64_t incarnation = 0;
  uint64_t sequence = 0;  // of the shard: while it stands, so does this answer
  RingReader reader;
};
// Without the lock; false: disturbed, or damaged. Safe on any bytes.
bool look_once(const Segment& segment, const Name& name, LookUp& found) noexcept;
// The same, at last under the lock. Errors: those of the lock.
Status look_up(Process& process, shm::Context& self, const Name& name, int64_t budget_ns, LookUp& found) noexcept;

// ---- Whole ----

// Whether a segment that cannot grow is given time to free what was removed from it.
enum class WhenFull : uint8_t { kMakeRoom, kFail };

// Runs body(tx) in a transaction over the shards; runs it again over more of them when it wanted more, and when there
// was no memory in a larger segment, or with some of it freed.
template <typename Body>
Status transact(Process& process, shm::Context& self, const Purpose& purpose, uint64_t shards, int64_t budget_ns,
                Body&& body, WhenFull when_full = WhenFull::kMakeRoom) noexcept {
  for (keyspace::MoreRoom more_room;;) {
    Transaction tx(process, self, purpose);
    if (Status status = tx.begin(shards, budget_ns); !status.ok()) return status;
    body(tx);
    const uint64_t wanted = tx.bytes_wanted();
    Status status = tx.commit();
    if (tx.shards_wanted() != 0) {
      shards |= tx.shards_wanted();
      continue;
    }
    if (status.code() != Code::kFull) return status;
    const uint64_t bytes = wanted + kPageBytes;
    status = when_full == WhenFull::kFail ? process.segment().grow(bytes)
                                          : more_room.find(process, shards, bytes, budget_ns);
    if (!status.ok()) return status;
  }
}

// Walks every invariant of the channels of a shard, whose lock (and that of shard 0) the caller holds; nullptr = sound.
const char* check_shard(const Segment& segment, uint32_t shard) noexcept;
// Calls visit(offset) for every block that the channels of the shard hold, the tables of the directory included.
void for_each_block(const Segment& segment, uint32_t shard, void (*visit)(void* with, uint64_t offset), void* with);

}  // namespace shoal::channels
