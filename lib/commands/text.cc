// SPDX-License-Identifier: MIT
// text.cc: numbers and patterns as Redis reads and writes them.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "commands/command.h"

namespace shoal {

bool parse_integer(Bytes text, int64_t& value) noexcept {
  if (text.empty() || text.size() > 20) return false;
  if (text == "0") {
    value = 0;
    return true;
  }
  const size_t first = text[0] == '-' ? 1 : 0;
  if (first == text.size() || text[first] < '1' || text[first] > '9') return false;  // no "+1", "01", "-0", " 1"
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

bool parse_float(Bytes text, double& value) noexcept {
  if (text.empty() || text.size() > 255 || std::isspace(static_cast<unsigned char>(text[0]))) return false;
  char copy[256];
  std::copy(text.begin(), text.end(), copy);
  copy[text.size()] = '\0';
  char* end = nullptr;
  value = std::strtod(copy, &end);
  if (end != copy + text.size() || std::isnan(value)) return false;
  const bool says_infinity = text.find_first_of("iI") != Bytes::npos;
  return !std::isinf(value) || says_infinity;
}

NumberText format_integer(int64_t value) noexcept {
  NumberText text{};
  const auto end = std::to_chars(text.bytes.data(), text.bytes.data() + text.bytes.size(), value).ptr;
  text.length = static_cast<uint32_t>(end - text.bytes.data());
  return text;
}

NumberText format_float(double value) noexcept {
  NumberText text{};
  int length = 0;
  if (std::isinf(value)) {
    length = std::snprintf(text.bytes.data(), text.bytes.size(), value > 0 ? "inf" : "-inf");
  } else if (value == std::floor(value) && std::fabs(value) < 1e17) {
    return format_integer(static_cast<int64_t>(value));
  } else {
    length = std::snprintf(text.bytes.data(), text.bytes.size(), "%.17g", value);
  }
  text.length = static_cast<uint32_t>(length);
  return text;
}

bool parse_long_double(Bytes text, long double& value) noexcept {
  double checked;
  if (!parse_float(text, checked)) return false;
  char copy[256];
  std::copy(text.begin(), text.end(), copy);
  copy[text.size()] = '\0';
  value = std::strtold(copy, nullptr);
  return true;
}

LongFloatText format_long_double(long double value) noexcept {
  LongFloatText text;
  char* bytes = text.bytes.data();
  int length = std::snprintf(bytes, text.bytes.size(), "%.17Lf", value);  // at most 309 digits before the point
  length = std::min(length, static_cast<int>(text.bytes.size()) - 1);
  while (length > 0 && bytes[length - 1] == '0') --length;
  if (length > 0 && bytes[length - 1] == '.') --length;
  if (length == 2 && bytes[0] == '-' && bytes[1] == '0') {
    bytes[0] = '0';
    length = 1;
  }
  text.length = static_cast<uint32_t>(length);
  return text;
}

}  // namespace shoal
