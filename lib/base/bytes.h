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
inline void copy_short(void* to, Bytes from) noexcept {
  auto* target = static_cast<char*>(to);
  size_t at = 0;
  for (; at + 16 <= from.size(); at += 16) std::memcpy(target + at, from.data() + at, 16);
  copy_bytes(target + at, from.substr(at));
}

// memcmp without the call, for names, which are short.
inline bool same_bytes(const char* a, const char* b, size_t count) noexcept {
  const auto word = [](const char* place) {
    uint64_t value;
    std::memcpy(&value, place, sizeof value);
    return value;
  };
  if (count < sizeof(uint64_t)) return count == 0 || std::memcmp(a, b, count) == 0;
  uint64_t difference = word(a + count - 8) ^ word(b + count - 8);  // the last eight, which may overlap
  for (size_t i = 0; i + 8 < count; i += 8) difference |= word(a + i) ^ word(b + i);
  return difference == 0;
}

constexpr uint64_t round_up(uint64_t value, uint64_t multiple) noexcept {
  return (value + multiple - 1) / multiple * multiple;
}

}  // namespace shoal
