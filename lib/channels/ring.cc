// SPDX-License-Identifier: MIT
#include "channels/ring.h"

#include <algorithm>
#include <cstring>

#include "base/status.h"

namespace shoal {

namespace {

constexpr auto relaxed = std::memory_order_relaxed;
constexpr int kSkipTriesMax = 16;

}  // namespace

// ---- Bytes ----------------------------------------------------------------------------------------------------------

void RingBytes::load(uint64_t position, void* target, uint64_t bytes) const noexcept {
  auto* out = static_cast<char*>(target);
  uint64_t index = position % capacity_ / 8;
  while (bytes > 0) {
    const uint64_t run = std::min((bytes + 7) / 8, words_end() - index);
    const uint64_t* from = words_ + index;
    for (uint64_t i = 0; i < run && bytes > 0; ++i) {
      const uint64_t word = __atomic_load_n(from + i, __ATOMIC_RELAXED);
      const uint64_t part = std::min<uint64_t>(bytes, 8);
      if (part == 8) {
        std::memcpy(out, &word, 8);
      } else {
        std::memcpy(out, &word, part);
      }
      out += part;
      bytes -= part;
    }
    index = 0;
  }
}

void RingBytes::store(uint64_t position, const void* source, uint64_t bytes) const noexcept {
  const auto* in = static_cast<const char*>(source);
  uint64_t index = position % capacity_ / 8;
  while (bytes > 0) {
    const uint64_t run = std::min((bytes + 7) / 8, words_end() - index);
    uint64_t* to = words_ + index;
    for (uint64_t i = 0; i < run; ++i) {
      uint64_t word = 0;
      const uint64_t part = std::min<uint64_t>(bytes, 8);
      if (part == 8) {
        std::memcpy(&word, in, 8);
      } else {
        std::memcpy(&word, in, part);
      }
      __atomic_store_n(to + i, word, __ATOMIC_RELAXED);
      in += part;
      bytes -= part;
    }
    index = 0;
  }
}

// ---- The publisher's side -------------------------------------------------------------------------------------------

uint64_t RingWriter::first_kept(uint64_t size, std::optional<shm::Message>* last_dropped) const noexcept {
  const uint64_t end = ring_.begin[ring_.next.load(relaxed) % 4].load(relaxed);
  uint64_t oldest = ring_.oldest.load(relaxed);
  while (oldest < end && end + size - oldest > bytes_.capacity()) {
    const shm::Message message = bytes_.header(oldest);
    if (last_dropped != nullptr) *last_dropped = message;
    oldest += shm::message_bytes(message);
  }
  return oldest;
}

std::optional<shm::Message> RingWriter::would_drop(uint64_t size) const noexcept {
  std::optional<shm::Message> dropped;
  first_kept(size, &dropped);
  return dropped;
}

uint64_t RingWriter::publish(Bytes name, Bytes data, uint64_t time_ns) noexcept {
  const uint64_t size = shm::message_bytes(name.size(), data.size());
  SHOAL_ASSERT(size <= bytes_.capacity() / 2);
  const uint64_t sequence = ring_.next.load(relaxed);
  const uint64_t position = ring_.begin[sequence % 4].load(relaxed);
  const uint64_t previous = sequence == 1 ? 0 : position - ring_.begin[(sequence - 1) % 4].load(relaxed);

  ring_.oldest.store(first_kept(size), relaxed);
  std::atomic_thread_fence(std::memory_order_release);
  const shm::Message header{sequence, time_ns, static_cast<uint32_t>(data.size()), static_cast<uint16_t>(name.size()),
                            static_cast<uint16_t>(previous / 8)};
  bytes_.store(position, &header, sizeof header);
  bytes_.store(position + sizeof header, name.data(), name.size());
  bytes_.store(position + sizeof header + round_up(name.size(), 8), data.data(), data.size());
  ring_.begin[(sequence + 1) % 4].store(position + size, relaxed);
  ring_.next.store(sequence + 1, std::memory_order_release);
  return sequence;
}

void RingWriter::copy_to(RingBytes larger) const noexcept {
  const uint64_t end = ring_.begin[ring_.next.load(relaxed) % 4].load(relaxed);
  for (uint64_t position = ring_.oldest.load(relaxed); position < end;) {
    uint64_t piece[64];
    const uint64_t bytes = std::min<uint64_t>(end - position, sizeof piece);
    bytes_.load(position, piece, bytes);
    larger.store(position, piece, bytes);
    position += bytes;
  }
}

// ---- Where a reader begins ------------------------------------------------------------------------------------------

namespace ring {

uint64_t published(const shm::Ring& ring) noexcept { return ring.next.load(relaxed) - 1; }

RingCursor live(const shm::Ring& ring) noexcept {
  const uint64_t next = ring.next.load(relaxed);
  return {next, ring.begin[next % 4].load(relaxed)};
}

RingCursor seek(const shm::Ring& ring, RingBytes bytes, uint64_t sequence, uint64_t not_before_ns) noexcept {
  RingCursor cursor = live(ring);
  const uint64_t oldest = ring.oldest.load(relaxed);
  if (cursor.position == oldest || cursor.sequence <= sequence) return cursor;
  uint64_t step = cursor.position - ring.begin[(cursor.sequence - 1) % 4].load(relaxed);
  while (cursor.sequence > sequence && cursor.position > oldest) {
    const shm::Message message = bytes.header(cursor.position - step);
    if (message.time_ns < not_before_ns) break;
    cursor = {message.sequence, cursor.position - step};
    step = uint64_t{message.previous_words} * 8;
  }
  return cursor;
}

}  // namespace ring

// ---- The reader's side ----------------------------------------------------------------------------------------------

// Asked after the bytes were loaded: were they those of the message?
bool RingReader::whole(const RingCursor& cursor) const noexcept {
  std::atomic_thread_fence(std::memory_order_acquire);
  return ring_->oldest.load(relaxed) <= cursor.position;
}

RingReader::Result RingReader::peek(RingCursor& cursor, shm::Message& header, uint64_t& lost) const noexcept {
  lost = 0;
  const uint64_t next = ring_->next.load(std::memory_order_acquire);
  if (!still_there()) return Result::kMoved;
  if (next <= cursor.sequence) return Result::kNothing;
  if (!has_block()) return Result::kMoved;  // the first message made the ring
  if (whole(cursor)) {
    header = bytes_.header(cursor.position);
    const bool sound = header.sequence == cursor.sequence && shm::message_bytes(header) <= bytes_.capacity() / 2;
    if (whole(cursor) && sound) return still_there() ? Result::kMessage : Result::kMoved;
  }
  return skip_to_oldest(cursor, lost);
}

bool RingReader::copy(const RingCursor& cursor, const shm::Message& header, char* name, char* data) const noexcept {
  const uint64_t place = cursor.position + sizeof header;
  bytes_.load(place, name, header.name_bytes);
  bytes_.load(place + round_up(header.name_bytes, 8), data, header.data_bytes);
  return whole(cursor) && still_there();
}

RingReader::Result RingReader::skip_to_oldest(RingCursor& cursor, uint64_t& lost) const noexcept {
  for (int tries = 0; tries < kSkipTriesMax; ++tries) {
    const uint64_t next = ring_->next.load(std::memory_order_acquire);
    RingCursor target{next, ring_->begin[next % 4].load(relaxed)};
    const uint64_t oldest = ring_->oldest.load(std::memory_order_acquire);
    if (oldest < target.position) target = {bytes_.header(oldest).sequence, oldest};
    const bool settled = whole(target) && ring_->next.load(relaxed) - next <= 2;
    if (!still_there()) return Result::kMoved;
    if (!settled || target.sequence <= cursor.sequence) continue;
    lost = target.sequence - cursor.sequence;
    cursor = target;
    return Result::kLapped;
  }
  return Result::kNothing;  // the publishers are faster than this look: ask again
}

// ---- Check ----------------------------------------------------------------------------------------------------------

const char* check_ring(const shm::Ring& ring, RingBytes bytes) noexcept {
  const uint64_t next = ring.next.load(relaxed), oldest = ring.oldest.load(relaxed);
  const uint64_t end = ring.begin[next % 4].load(relaxed);
  if (next == 0) return "ring: the first sequence is 1";
  if (bytes.capacity() == 0) return next == 1 && end == 0 ? nullptr : "ring: messages without a block";
  if (bytes.capacity() % 8 != 0) return "ring: capacity is not whole words";
  if (oldest > end || oldest % 8 != 0 || end % 8 != 0) return "ring: oldest lies beyond the end";
  if (end - oldest > bytes.capacity()) return "ring: keeps more than it can hold";
  uint64_t expected = 0, previous = 0;
  for (uint64_t position = oldest; position < end;) {
    const shm::Message message = bytes.header(position);
    if (expected != 0 && message.sequence != expected) return "ring: a sequence is skipped";
    if (previous != 0 && message.previous_words * 8u != previous) return "ring: a message does not link back";
    previous = shm::message_bytes(message);
    if (previous > bytes.capacity() / 2) return "ring: a message is larger than half the ring";
    expected = message.sequence + 1;
    position += previous;
    if (position > end) return "ring: the chain runs past its end";
  }
  if (expected != 0 && expected != next) return "ring: the newest message is not the last published";
  return nullptr;
}

}  // namespace shoal
