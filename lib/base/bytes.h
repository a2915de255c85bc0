// SPDX-License-Identifier: MIT
// bytes.h: views of bytes, and rounding.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace shoal {

using Bytes = std::string_view;  // a key, a value, a field: bytes that somebody else owns

// No bytes may come from nowhere, which std::memcpy forbids.
inline void copy_bytes(void* to, Bytes from) noexcept {
  if (!from.empty()) std::memcpy(to, from.data(), from.size());
}

// The same without the call, for what is short.
[[gnu::always_inline]] inline void copy_short(void* to, Bytes from) noexcept {
  auto* target = static_cast<char*>(to);
  const size_t count = from.size();
  if (count < 8) return copy_bytes(target, from);
  if (count < 16) {
    std::memcpy(target, from.data(), 8);
    std::memcpy(target + count - 8, from.data() + count - 8, 8);  // may overlap the first
    return;
  }
  for (size_t at = 0; at + 16 < count; at += 16) std::memcpy(target + at, from.data() + at, 16);
  std::memcpy(target + count - 16, from.data() + count - 16, 16);
}

// Whole words, at least one, without the call.
[[gnu::always_inline]] inline void copy_words(uint64_t* to, const uint64_t* from, size_t count) noexcept {
  size_t i = 0;
  for (; i + 4 <= count; i += 4) {
    std::memcpy(to + i, from + i, 16);
    std::memcpy(to + i + 2, from + i + 2, 16);
  }
  for (; i < count; ++i) to[i] = from[i];
}

inline uint64_t load_word(const char* place) noexcept {  // wherever it lies
  uint64_t word;
  std::memcpy(&word, place, sizeof word);
  return word;
}

// memcmp without the call, for names, which are short.
[[gnu::always_inline]] inline bool same_bytes(const char* a, const char* b, size_t count) noexcept {
  const auto differ = [a, b](size_t at) { return load_word(a + at) ^ load_word(b + at); };
  if (count < 8) return count == 0 || std::memcmp(a, b, count) == 0;
  if (count < 16) return (differ(0) | differ(count - 8)) == 0;
  uint64_t difference = differ(count - 16) | differ(count - 8);  // the last sixteen, which the loop may meet
  for (size_t at = 0; at + 16 < count; at += 16) difference |= differ(at) | differ(at + 8);
  return difference == 0;
}

constexpr uint64_t round_up(uint64_t value, uint64_t multiple) noexcept {
  return (value + multiple - 1) / multiple * multiple;
}

}  // namespace shoal
