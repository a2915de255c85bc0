// SPDX-License-Identifier: MIT
// snapshot.h: one optimistic attempt to read a shard without its lock.
//
//   for (int i = 0; i < kReadTriesMax; ++i) {
//     Snapshot snapshot(segment, shard);
//     if (!snapshot.open()) continue;                     // a writer is at work
//     ... load(), record(), copy(): private copies, checked; false = the memory cannot be what it was
//     if (snapshot.valid()) return what was copied;
//   }
//   take the lock
//
// A reader never holds a `const T&` into the segment: a compiler may load a length twice, once to check it and once to
// use it. Everything comes as a private copy by relaxed atomic words, bounds- and alignment-checked against
// `committed`; a traversal counts its steps. Nothing that was loaded is true before valid() says so; a length above
// kTrustedBytes is revalidated before anything is allocated for it.
// The writer's side: Transaction::become_visible() (odd, release fence) and release_locks() (even, release).
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "segment/segment.h"

namespace shoal {

class Snapshot {
 public:
  static constexpr uint64_t kTrustedBytes = 4096;

  Snapshot(const Segment& segment, const shm::Shard& shard) noexcept
      : segment_(segment), shard_(shard), sequence_(shard.sequence.load(std::memory_order_acquire)) {}

  bool open() const noexcept { return sequence_ % 2 == 0; }
  uint64_t sequence() const noexcept { return sequence_; }
  bool valid() const noexcept {
    std::atomic_thread_fence(std::memory_order_acquire);
    return shard_.sequence.load(std::memory_order_relaxed) == sequence_;
  }

  template <typename T>
  T load(const shm::Cell<T>& cell) const noexcept {
    return cell.load();
  }
  // One aligned word at an offset that came out of the segment.
  bool word(uint64_t offset, uint64_t& value) const noexcept {
    if (offset % 8 != 0 || !segment_.contains(offset, 8)) return false;
    value = __atomic_load_n(segment_.pointer<uint64_t>(offset), __ATOMIC_RELAXED);
    return true;
  }
  // A private copy of the record at `offset`.
  template <typename T>
  bool record(uint64_t offset, T& copy) const noexcept {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) % 8 == 0);
    return words(offset, &copy, sizeof(T));
  }
  // Copies bytes that begin at any offset.
  bool copy(uint64_t offset, uint64_t bytes, void* target) const noexcept {
    if (!segment_.contains(offset, bytes)) return false;
    auto* out = static_cast<unsigned char*>(target);
    const auto* from = segment_.pointer<unsigned char>(offset);
    for (; bytes > 0 && reinterpret_cast<uintptr_t>(from) % 8 != 0; --bytes)
      *out++ = __atomic_load_n(from++, __ATOMIC_RELAXED);
    for (; bytes >= 8; bytes -= 8, from += 8, out += 8) {
      const uint64_t word = __atomic_load_n(reinterpret_cast<const uint64_t*>(from), __ATOMIC_RELAXED);
      std::memcpy(out, &word, 8);
    }
    for (; bytes > 0; --bytes) *out++ = __atomic_load_n(from++, __ATOMIC_RELAXED);
    return true;
  }
  // Whether `bytes` at `offset` equal `expected`.
  bool equals(uint64_t offset, const char* expected, uint64_t bytes) const noexcept {
    if (!segment_.contains(offset, bytes)) return false;
    const auto* place = segment_.pointer<unsigned char>(offset);
    uint64_t difference = 0;
    for (; bytes >= 8 && reinterpret_cast<uintptr_t>(place) % 8 == 0; bytes -= 8, place += 8, expected += 8) {
      uint64_t word;
      std::memcpy(&word, expected, 8);
      difference |= word ^ __atomic_load_n(reinterpret_cast<const uint64_t*>(place), __ATOMIC_RELAXED);
    }
    for (; bytes > 0; --bytes)
      difference |= static_cast<unsigned char>(*expected++) ^ __atomic_load_n(place++, __ATOMIC_RELAXED);
    return difference == 0;
  }

 private:
  bool words(uint64_t offset, void* target, uint64_t bytes) const noexcept {
    if (offset % 8 != 0 || !segment_.contains(offset, bytes)) return false;
    const auto* from = segment_.pointer<uint64_t>(offset);
    for (uint64_t i = 0; i < bytes / 8; ++i) {
      const uint64_t word = __atomic_load_n(from + i, __ATOMIC_RELAXED);
      std::memcpy(static_cast<char*>(target) + i * 8, &word, 8);
    }
    return true;
  }

  const Segment& segment_;
  const shm::Shard& shard_;
  const uint64_t sequence_;
};

}  // namespace shoal
