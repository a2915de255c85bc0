// SPDX-License-Identifier: MIT
// ring_format.h: what a channel is in the segment. A channel belongs to the shard of its name's hash; that shard's
// owner word is its lock. There are two kinds of words here, and they never share eight bytes:
//
//   protocol words (Atomic)   the ring's own: written by a publisher who holds the lock, never journalled, read by
//         anybody;
//                             ring.h says in which order, and why a death between any two of them does no harm
//   structure (the others)    which rings, subscribers and settings there are: written through a Transaction
//
//   Shard::channels --dict--> Channel --> bytes of the ring, one block
//                                     --> Subscription --> Subscription ...      one per context that listens
//   Header::patterns -------> Channel (of a pattern) --next_pattern--> Channel ...      guarded by shard 0's lock
//
// A pattern is a channel, too: its name is the pattern, its ring holds what was published to matching channels.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/limits.h"
#include "segment/layout.h"
#include "transaction/size_class.h"

namespace shoal::shm {

// ---- Message: in the bytes of a ring, at a multiple of eight, wrapped around their end word by word -----------------
//
//   0          8         16      20     22         24
//   | sequence | time ns | bytes | name | previous | name, to 8 ... | data, to 8 ... |
struct Message {
  uint64_t sequence;  // as in Ring::next when it was written; the first message of a channel is 1
  uint64_t time_ns;   // CLOCK_MONOTONIC, strictly rising within a publishing thread: orders messages across channels
  uint32_t data_bytes;
  uint16_t name_bytes;      // in a pattern's ring: of the name of the channel that it was published to; else 0
  uint16_t previous_words;  // size of the message before this one in words; 0 = the first one
};
SHOAL_SHM_RECORD(Message, 24);

// What a message takes in the ring.
constexpr uint64_t message_bytes(uint64_t name_bytes, uint64_t data_bytes) noexcept {
  return sizeof(Message) + round_up(name_bytes, 8) + round_up(data_bytes, 8);
}
constexpr uint64_t message_bytes(const Message& message) noexcept {
  return message_bytes(message.name_bytes, message.data_bytes);
}

// ---- Ring: one cache line -------------------------------------------------------------------------------------------
//
//   0      8        16                      48      56        64
//   | next | oldest | begin[sequence mod 4] | block | pending |
struct Ring {
  Atomic<uint64_t> next;  // THE publication word: the sequence that the next message will get
  Atomic<uint64_t>
      oldest;  // position of the oldest whole message; moves on before its bytes are overwritten, never back
  Atomic<uint64_t> begin[4];  // begin[s % 4]: position of message s, for s = next and the last two before it
  Cell<uint64_t> block;       // pages:16 | offset:48 of the bytes; 0 = nothing was ever published. Structure
  Atomic<uint64_t> pending;   // id of the context whose outbox is being published here (outbox.h), else 0

  static constexpr uint64_t pack(uint64_t offset, uint32_t capacity) noexcept {
    return uint64_t{capacity} / kPageBytes << 48 | offset;
  }
  static constexpr uint64_t offset_of(uint64_t block) noexcept { return block & 0xffff'ffff'ffff; }
  static constexpr uint32_t capacity_of(uint64_t block) noexcept {
    return static_cast<uint32_t>(block >> 48) * kPageBytes;
  }
};
SHOAL_SHM_RECORD(Ring, 64);
static_assert(offsetof(Ring, block) == 48);

// ---- Subscription: a context listens to a channel -------------------------------------------------------------------
//
//   0      8         12      16    20         24
//   | next | context | count | bit | reserved |
struct Subscription {
  Cell<uint64_t> next;     // of the same channel
  Cell<uint32_t> context;  // id, with its generation: a retired id is a listener that is gone
  Cell<uint32_t> count;    // subscribers in that thread
  Cell<uint32_t> bit;      // which of Context::ready a publisher sets
  Cell<uint32_t> reserved;
};
SHOAL_SHM_RECORD(Subscription, 24);

// ---- Channel --------------------------------------------------------------------------------------------------------
//
//   0      64            72            80             88     92     96       104            112          116 120
//          128
//   | ring | incarnation | subscribers | next_pattern | kind | keep | ttl ms | retry growth | name bytes | 0 |
//         dropped | name ...
enum class ChannelKind : uint32_t { kChannel = 0, kPattern = 1 };
struct Channel {
  Ring ring;
  Cell<uint64_t> incarnation;        // unlike that of any other channel, also of earlier ones of this name
  Cell<uint64_t> subscribers;        // first Subscription; 0 = none
  Cell<uint64_t> next_pattern;       // the list of Header::patterns; under the lock of shard 0 as well
  Cell<uint32_t> kind;               // ChannelKind
  Cell<uint32_t> keep;               // history: messages; 0 = none promised, the channel goes with its last subscriber
  Cell<uint64_t> ttl_ms;             // history: age; 0 = no limit
  Atomic<uint64_t> retry_growth_ns;  // protocol word: the ring could not grow; not tried again before
  Cell<uint32_t> name_bytes;
  uint32_t reserved;
  Atomic<uint64_t> dropped_early;  // protocol word: messages that `keep` promised and that the ring's limit pushed out

  Bytes name() const noexcept {
    return {reinterpret_cast<const char*>(this + 1), name_bytes.load()};
  }  // under the lock
  bool is_pattern() const noexcept { return kind.load() == static_cast<uint32_t>(ChannelKind::kPattern); }
};
SHOAL_SHM_RECORD(Channel, 128);
static_assert(offsetof(Channel, incarnation) == 64 && offsetof(Channel, keep) == 92 &&
              offsetof(Channel, name_bytes) == 112);

// ---- Posting: a message that a transaction publishes (outbox.h) -----------------------------------------------------
//
//   0      8          16     20     24            28         32            36          40
//   | next | sequence | done | kind | target name | channel  | data bytes  | reserved  | target name, to 8 | channel,
//         to 8 | data
struct Posting {
  uint64_t next;              // of the same outbox; 0 = last. Structure
  Atomic<uint64_t> sequence;  // protocol word: the one it gets or got, while Ring::pending names its owner
  Atomic<uint32_t> done;      // protocol word: 1 = it is in the ring
  uint32_t kind;              // ChannelKind of the target
  uint32_t target_bytes;      // name of the ring it goes to
  uint32_t channel_bytes;     // name of the channel, if the target is a pattern
  uint32_t data_bytes;
  uint32_t reserved;

  Bytes target() const noexcept { return {bytes(), target_bytes}; }
  Bytes channel() const noexcept { return {bytes() + round_up(target_bytes, 8), channel_bytes}; }
  Bytes data() const noexcept { return {bytes() + round_up(target_bytes, 8) + round_up(channel_bytes, 8), data_bytes}; }
  const char* bytes() const noexcept { return reinterpret_cast<const char*>(this + 1); }
};
SHOAL_SHM_RECORD(Posting, 40);

}  // namespace shoal::shm

namespace shoal {

inline constexpr uint32_t kRingBytesMin = kPageBytes;  // and in between four times as much at each step

// How large a ring of this segment may get: one block, and in a tiny segment at most a sixteenth of it.
constexpr uint32_t ring_bytes_max(uint64_t segment_bytes) noexcept {
  const uint64_t share = segment_bytes / 16 / kPageBytes * kPageBytes;
  return static_cast<uint32_t>(share < kRingBytesMin ? kRingBytesMin : share < kBlockMax ? share : kBlockMax);
}
// What a ring of this capacity grows to: a step, and on until `needed` fits or the limit is reached.
constexpr uint32_t ring_bytes_next(uint32_t capacity, uint64_t needed, uint32_t limit) noexcept {
  uint64_t next = capacity == 0 ? kRingBytesMin : uint64_t{capacity} * 4;
  while (next < needed) next *= 4;
  return static_cast<uint32_t>(next < limit ? next : limit);
}
// The largest message: half a ring, so that the one before it stays whole while it is being written.
constexpr uint64_t message_bytes_max(uint32_t ring_bytes) noexcept { return ring_bytes / 2 / 8 * 8; }
static_assert(message_bytes_max(kBlockMax) / 8 <= 0xffff);  // Message::previous_words

}  // namespace shoal
