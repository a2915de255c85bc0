// SPDX-License-Identifier: MIT
// decimal.h: integers of 64 bits as they would be printed: no blank, no plus, no leading zero, no minus zero.
#pragma once

#include <charconv>
#include <cstdint>

#include "base/bytes.h"

namespace shoal {

// False: the text is none, and the value is not to be used.
inline bool parse_decimal(Bytes text, int64_t& value) noexcept {
  if (text.empty() || text.size() > 20) return false;
  const Bytes digits = text[0] == '-' ? text.substr(1) : text;
  if (digits.empty() || (digits[0] == '0' && text != "0")) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size();
}

inline bool is_decimal(Bytes text) noexcept {
  int64_t value;
  return parse_decimal(text, value);
}

}  // namespace shoal
