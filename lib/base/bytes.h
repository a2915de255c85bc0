// SPDX-License-Identifier: MIT
// bytes.h: views of bytes, and rounding.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace shoal {

using Bytes = std::string_view;  // a key, a value, a field: bytes that somebody else owns

constexpr uint64_t round_up(uint64_t value, uint64_t multiple) noexcept {
  return (value + multiple - 1) / multiple * multiple;
}

}  // namespace shoal
