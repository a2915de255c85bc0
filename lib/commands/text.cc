// SPDX-License-Identifier: MIT
// text.cc: numbers and patterns as Redis reads and writes them.
#include <locale.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "commands/command.h"
#include "types/decimal.h"

namespace shoal {

namespace {

constexpr size_t kFloatBytesMax = 511;  // what "%f" makes of the largest double has 316

// While it stands, this thread's numbers have a point, whatever LC_NUMERIC the process chose by setlocale().
class PointAsDecimal {
 public:
  PointAsDecimal() noexcept : previous_(uselocale(kPlain)) {}
  ~PointAsDecimal() { uselocale(previous_); }
  PointAsDecimal(const PointAsDecimal&) = delete;
  PointAsDecimal& operator=(const PointAsDecimal&) = delete;

 private:
  static inline const locale_t kPlain = newlocale(LC_ALL_MASK, "C", nullptr);
  const locale_t previous_;
};

}  // namespace

bool parse_integer(Bytes text, int64_t& value) noexcept { return parse_decimal(text, value); }

bool read_double(const char* text, double& value) noexcept {
  const PointAsDecimal locale;
  char* end = nullptr;
  value = std::strtod(text, &end);
  return *end == '\0' && !std::isnan(value);
}

bool parse_score_limit(Bytes text, double& value) noexcept {
  char copy[kFloatBytesMax + 1];
  if (text.size() > kFloatBytesMax) return false;
  *std::copy(text.begin(), text.end(), copy) = '\0';
  return read_double(copy, value);
}

bool parse_float(Bytes text, double& value) noexcept {
  if (text.empty() || std::isspace(static_cast<unsigned char>(text[0])) || text.find('\0') != Bytes::npos) return false;
  if (!parse_score_limit(text, value)) return false;
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
    const PointAsDecimal locale;
    length = std::snprintf(text.bytes.data(), text.bytes.size(), "%.17g", value);
  }
  text.length = static_cast<uint32_t>(length);
  return text;
}

bool parse_long_double(Bytes text, long double& value) noexcept {
  double checked;
  if (!parse_float(text, checked)) return false;
  char copy[kFloatBytesMax + 1];
  std::copy(text.begin(), text.end(), copy);
  copy[text.size()] = '\0';
  const PointAsDecimal locale;
  value = std::strtold(copy, nullptr);
  return true;
}

LongFloatText format_long_double(long double value) noexcept {
  LongFloatText text;
  const PointAsDecimal locale;
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
