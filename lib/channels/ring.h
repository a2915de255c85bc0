// SPDX-License-Identifier: MIT
// ring.h: the ring of a channel: many publishers, one lock; any number of readers, no lock; a cursor a reader, in its
// own memory.
//
// Messages follow each other in one endless line of positions 0, 8, 16 ...; the ring holds the last `capacity` of them,
// position p at byte p mod capacity.
//
//              oldest                                            begin[next % 4]
//                 v                                                    v
//     ...:::::::::|  s-4  |    s-3    | s-2 |      s-1       |          s would go here
//     overwritten |<----------- at most capacity ----------->|
//
// Publish message s, under the lock (RingWriter::publish):
//
//   1  oldest    moves on to the first message that stays whole when s is there
//      ---- release fence: whoever sees a byte of s sees this
//   2  bytes     of s at begin[s % 4]: header, name, data
//   3  begin     [(s + 1) % 4] = the end of s
//   4  next      = s + 1, release: s is published by this one store
//
// Read at cursor {sequence, position}, without the lock (RingReader::read):
//
//   1  next      acquire: above the cursor's sequence, or there is nothing to read
//   2  bytes     copied out
//      ---- acquire fence
//   3  oldest    not above the cursor's position, or the copy is worth nothing: the reader was lapped, and skips to
//         `oldest`;
//                the difference of the sequences is what it lost
//   4  epoch     of the shard's rings, as when the block was looked up, or the block was freed, perhaps used anew
//
// Invariants, all walked by check_ring():
//   (1) `next` and `oldest` never go down, whoever dies: a reader that was told "whole" or "published" was told the
//         truth.
//   (2) [oldest, begin[next % 4]) is a chain of whole messages with rising sequences, none skipped, ending before
//         `next`.
//   (3) A message is at most half the capacity, so the newest stays whole while the next is written.
//   (4) Every reader receives, or is told that it lost, each sequence exactly once: delivered + lost == published.
//
// Dies before 4: `next` still says s, so the next publisher writes s anew, at the same place: begin[s % 4] was not
// touched. `oldest` stays where the dead one put it, also if the new s is smaller: those bytes ARE overwritten. (Were
// it to go back, readers would take torn messages for whole.) Dies after 4: published; whoever was to be woken for it
// is woken by recovery.
// A ring that grows keeps all positions: cursors stay good, only the block is looked up again.
//
// Why `oldest` and not an `intent` (the furthest end ever begun; valid iff intent <= position + capacity): they say the
// same, one in messages, the other in bytes; `oldest` also tells where a lapped reader goes on, and does not change
// when the ring grows.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "channels/ring_format.h"

namespace shoal {

// Where a reader is: the next message it wants.
struct RingCursor {
  uint64_t sequence = 1;
  uint64_t position = 0;
};

// The bytes of a ring, by words that wrap: relaxed and atomic, since a publisher may be writing what a reader copies.
class RingBytes {
 public:
  RingBytes() noexcept = default;
  RingBytes(uint64_t* words, uint32_t capacity) noexcept : words_(words), capacity_(capacity) {}

  uint32_t capacity() const noexcept { return capacity_; }
  void load(uint64_t position, void* target, uint64_t bytes) const noexcept;
  void store(uint64_t position, const void* source, uint64_t bytes) const noexcept;  // pads the last word with zeros
  shm::Message header(uint64_t position) const noexcept {
    shm::Message message;
    load(position, &message, sizeof message);
    return message;
  }

 private:
  uint64_t words_end() const noexcept { return capacity_ / 8; }

  uint64_t* words_ = nullptr;
  uint32_t capacity_ = 0;
};

// The publisher's side. Every call under the lock of the channel's shard.
class RingWriter {
 public:
  RingWriter(shm::Ring& ring, RingBytes bytes) noexcept : ring_(ring), bytes_(bytes) {}

  // Publishes a message of at most half the capacity. Returns its sequence.
  uint64_t publish(Bytes name, Bytes data, uint64_t time_ns) noexcept;
  // The newest message that the next one of `size` bytes would push out, if any: what a ring grows for.
  std::optional<shm::Message> would_drop(uint64_t size) const noexcept;
  // Copies what is whole into a larger block, to the same positions.
  void copy_to(RingBytes larger) const noexcept;

 private:
  // The oldest message that stays whole when `size` more bytes are there; the last one before it, if wanted.
  uint64_t first_kept(uint64_t size, std::optional<shm::Message>* last_dropped = nullptr) const noexcept;

  shm::Ring& ring_;
  RingBytes bytes_;
};

// Where a reader begins. Every call under the lock, where the answers are exact.
namespace ring {

uint64_t published(const shm::Ring& ring) noexcept;  // messages ever
RingCursor live(const shm::Ring& ring) noexcept;     // what comes from now on
// The first message from `sequence` on that is whole and not older than `not_before_ns`; live() if there is none. Walks
// back from the newest, so it costs what the reader is about to read.
RingCursor seek(const shm::Ring& ring, RingBytes bytes, uint64_t sequence, uint64_t not_before_ns = 0) noexcept;

}  // namespace ring

// A reader's view of one block of a ring. No lock; the record and the block may be freed under it, so everything that
// it returns holds only if still_there(), which it asks itself.
class RingReader {
 public:
  enum class Result { kMessage, kNothing, kLapped, kMoved };

  RingReader() noexcept = default;
  // `epoch` of the shard, and the value it had when the record and the block were looked up.
  RingReader(const shm::Ring& ring, RingBytes bytes, const shm::Cell<uint64_t>& epoch, uint64_t value) noexcept
      : ring_(&ring), bytes_(bytes), epoch_(&epoch), epoch_value_(value) {}

  bool still_there() const noexcept { return epoch_ != nullptr && epoch_->load() == epoch_value_; }
  bool has_block() const noexcept { return bytes_.capacity() != 0; }

  // The header at the cursor, whole. kLapped: the cursor has been moved on to `oldest`, `lost` messages further.
  // kMoved: look the channel up again.
  Result peek(RingCursor& cursor, shm::Message& header, uint64_t& lost) const noexcept;
  // Copies the name and the data of the message that peek() found; false if it was overwritten meanwhile: peek again.
  bool copy(const RingCursor& cursor, const shm::Message& header, char* name, char* data) const noexcept;
  static void advance(RingCursor& cursor, const shm::Message& header) noexcept {
    cursor.sequence += 1;
    cursor.position += shm::message_bytes(header);
  }

 private:
  bool whole(const RingCursor& cursor) const noexcept;
  Result skip_to_oldest(RingCursor& cursor, uint64_t& lost) const noexcept;

  const shm::Ring* ring_ = nullptr;
  RingBytes bytes_;
  const shm::Cell<uint64_t>* epoch_ = nullptr;
  uint64_t epoch_value_ = 0;
};

// nullptr, or which invariant is broken. Under the lock, or on a copy.
const char* check_ring(const shm::Ring& ring, RingBytes bytes) noexcept;

}  // namespace shoal
