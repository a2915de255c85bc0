// SPDX-License-Identifier: MIT
// snapshot.h: one optimistic attempt to read a shard without its lock.
//
//   for (int i = 0; i < kReadTriesMax; ++i) {
//     Snapshot snapshot(segment, shard);
//     if (!snapshot.open()) continue;                     // a writer is at work
//     ... word(), copy(), equals(): private copies of what contains() let pass; false = it cannot be what it was
//     if (snapshot.valid()) return what was copied;
//   }
//   take the lock
//
// A reader never holds a `const T&` into the segment: a compiler may load a length twice, once to check it and once to
// use it. Everything comes as a private copy by relaxed atomic words, bounds- and alignment-checked against
// `committed`; a traversal counts its steps. Nothing that was loaded is true before valid() says so: a caller bounds a
// length (read_string: kInlineEntryMax) before anything is allocated for it.
// The writer's side: Transaction::become_visible() (odd, release fence) and release_locks() (even, release).
#pragma once

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <atomic>
#include <bit>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "base/bytes.h"
#include "segment/segment.h"

namespace shoal {

static_assert(std::endian::native == std::endian::little);  // equals(): the first bytes are the low ones

class Snapshot {
 public:
  Snapshot(const Segment& segment, const shm::Shard& shard) noexcept
      : base_(segment.base()),
        shard_(shard),
        sequence_(shard.sequence.load(std::memory_order_acquire)),
        begin_(segment.extents_offset()),
        size_(segment.committed() - begin_) {}

  bool open() const noexcept { return sequence_ % 2 == 0; }
  uint64_t sequence() const noexcept { return sequence_; }
  bool valid() const noexcept {
    std::atomic_thread_fence(std::memory_order_acquire);
    return shard_.sequence.load(std::memory_order_relaxed) == sequence_;
  }

  // Whether [offset, offset + bytes) lies in the extents that were physical when this attempt began: the only memory
  // that a reader without the lock may touch.
  bool contains(uint64_t offset, uint64_t bytes) const noexcept {
    return bytes <= size_ && offset - begin_ <= size_ - bytes;
  }
  // The same for a constant size and an offset that is a multiple of 8. There is always an extent.
  template <uint64_t kBytes>
  bool contains_all_of(uint64_t offset) const noexcept {
    static_assert(kBytes <= kExtentBytes);
    return offset - begin_ <= size_ - kBytes;
  }
  // The same for a word or a bucket: something whose alignment is its size, which no end of an extent cuts in two.
  bool contains_aligned(uint64_t offset, uint64_t size) const noexcept {
    return offset % size == 0 && offset - begin_ < size_;
  }
  // One aligned word at an offset that came out of the segment.
  bool word(uint64_t offset, uint64_t& value) const noexcept {
    if (!contains_aligned(offset, 8)) return false;
    value = load_word(offset);
    return true;
  }
  // The record at an offset that contains_aligned() has let pass; only its Cells may be loaded.
  template <typename T>
  const T& cells(uint64_t offset) const noexcept {
    return *reinterpret_cast<const T*>(base_ + offset);
  }
  // The word at a multiple of 8 that lies in what contains() has let pass.
  uint64_t known_word(uint64_t offset) const noexcept { return load_word(offset); }
  // Copies bytes from a multiple of 8 that lies, with them, in what contains() has let pass.
  void copy(uint64_t offset, uint64_t bytes, char* target) const noexcept {
    const std::byte* from = base_ + offset;
    uint64_t at = 0;
    for (; at + 16 <= bytes; at += 16) copy_two_words(from + at, target + at);
    if (at < bytes) copy_rest(from + at, bytes - at, target + at);
  }
  // Whether the bytes there equal `expected`.
  bool equals(uint64_t offset, const char* expected, uint64_t bytes) const noexcept {
    const std::byte* from = base_ + offset;
    const auto differ = [from, expected](uint64_t at) {
      return load_word(from + at) ^ shoal::load_word(expected + at);
    };
    uint64_t at = 0, difference = 0;
    for (; at + 16 <= bytes; at += 16) difference |= differ(at) | differ(at + 8);
    if (at < bytes) difference |= difference_of_rest(from + at, expected + at, bytes - at);
    return difference == 0;
  }

 private:
  // What is loaded ends with its word: everything in the extents is made of whole words.
  static uint64_t load_word(const std::byte* place) noexcept {
    return __atomic_load_n(reinterpret_cast<const uint64_t*>(place), __ATOMIC_RELAXED);
  }
  uint64_t load_word(uint64_t offset) const noexcept { return load_word(base_ + offset); }

  static void copy_two_words(const std::byte* from, char* target) noexcept {
#ifdef __SSE2__
    // One load, each half of which is as whole as a load of its own; what is torn between them, valid() finds.
    _mm_storeu_si128(reinterpret_cast<__m128i*>(target), _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
#else
    const uint64_t words[2] = {load_word(from), load_word(from + 8)};
    std::memcpy(target, words, sizeof words);
#endif
  }

  // What is left over: functions of their own that know nothing of the snapshot, which so stays in registers.
  [[gnu::noinline]] static void copy_rest(const std::byte* from, uint64_t bytes, char* target) noexcept {
    for (; bytes > 0; from += 8, target += 8) {
      const uint64_t word = load_word(from), part = bytes < 8 ? bytes : 8;
      std::memcpy(target, &word, part);
      bytes -= part;
    }
  }
  [[gnu::noinline]] static uint64_t difference_of_rest(const std::byte* from, const char* expected,
                                                       uint64_t bytes) noexcept {  // at least 1
    uint64_t difference = 0;
    for (; bytes >= 8; bytes -= 8, from += 8, expected += 8) difference |= load_word(from) ^ shoal::load_word(expected);
    if (bytes == 0) return difference;
    uint64_t word = 0;
    std::memcpy(&word, expected, bytes);
    return difference | (word ^ load_word(from)) << (64 - 8 * bytes);
  }

  const std::byte* base_;
  const shm::Shard& shard_;
  const uint64_t sequence_;
  const uint64_t begin_, size_;  // of the physical extents
};

}  // namespace shoal
