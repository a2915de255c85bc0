// SPDX-License-Identifier: MIT
// decimal.h: whether bytes are an integer as it would be printed: no blank, no plus, no leading zero, 64 bits.
#pragma once

#include <charconv>

#include "base/bytes.h"

namespace shoal {

inline bool is_decimal(Bytes text) noexcept {
  if (text.empty() || text.size() > 20) return false;
  const Bytes digits = text[0] == '-' ? text.substr(1) : text;
  if (digits.empty() || digits[0] == '0') return text == "0";
  int64_t value;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size();
}

}  // namespace shoal
