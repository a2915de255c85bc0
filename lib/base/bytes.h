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

constexpr uint64_t round_up(uint64_t value, uint64_t multiple) noexcept {
  return (value + multiple - 1) / multiple * multiple;
}

}  // namespace shoal
