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

namespace {

char folded(char c, bool ignore_case) noexcept {
  return ignore_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

// A class "[...]" at the pattern's start: whether `c` is in it; moves the pattern behind it.
bool match_class(Bytes& pattern, char c, bool ignore_case) noexcept {
  pattern.remove_prefix(1);
  const bool negated = !pattern.empty() && pattern[0] == '^';
  if (negated) pattern.remove_prefix(1);
  bool matched = false;
  c = folded(c, ignore_case);
  while (!pattern.empty() && pattern[0] != ']') {
    if (pattern[0] == '\\' && pattern.size() >= 2) {
      pattern.remove_prefix(1);
      matched |= pattern[0] == c;
    } else if (pattern.size() >= 3 && pattern[1] == '-') {
      char low = folded(pattern[0], ignore_case), high = folded(pattern[2], ignore_case);
      if (low > high) std::swap(low, high);
      matched |= c >= low && c <= high;
      pattern.remove_prefix(2);
    } else {
      matched |= folded(pattern[0], ignore_case) == c;
    }
    pattern.remove_prefix(1);
  }
  if (!pattern.empty()) pattern.remove_prefix(1);
  return matched != negated;
}

}  // namespace

// Iterative with one point of return (the last '*'), so a hostile pattern costs at most length times length.
bool glob_match(Bytes pattern, Bytes text, bool ignore_case) noexcept {
  Bytes star_pattern, star_text;
  bool has_star = false;
  for (;;) {
    if (!pattern.empty() && pattern[0] == '*') {
      while (!pattern.empty() && pattern[0] == '*') pattern.remove_prefix(1);
      if (pattern.empty()) return true;
      has_star = true;
      star_pattern = pattern;
      star_text = text;
      continue;
    }
    if (text.empty() && pattern.empty()) return true;
    bool matched = false;
    if (!text.empty() && !pattern.empty()) {
      Bytes rest = pattern;
      if (pattern[0] == '[') {
        matched = match_class(rest, text[0], ignore_case);
      } else {
        if (rest[0] == '\\' && rest.size() >= 2) rest.remove_prefix(1);
        matched = pattern[0] == '?' || folded(rest[0], ignore_case) == folded(text[0], ignore_case);
        rest.remove_prefix(1);
      }
      if (matched) {
        pattern = rest;
        text.remove_prefix(1);
        continue;
      }
    }
    if (!has_star || star_text.empty()) return false;
    star_text.remove_prefix(1);
    pattern = star_pattern;
    text = star_text;
  }
}

}  // namespace shoal
