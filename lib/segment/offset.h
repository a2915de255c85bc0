// SPDX-License-Identifier: MIT
// offset.h: how one place in the segment names another. Never a raw pointer: every process maps the segment elsewhere.
#pragma once

#include <compare>
#include <cstdint>

namespace shoal {

template <typename T>
struct Offset {
  uint64_t value = 0;  // bytes from the start of the segment; 0 = none

  constexpr explicit operator bool() const noexcept { return value != 0; }
  constexpr auto operator<=>(const Offset&) const noexcept = default;

  template <typename U>
  constexpr Offset<U> as() const noexcept {
    return Offset<U>{value};
  }
};

}  // namespace shoal
