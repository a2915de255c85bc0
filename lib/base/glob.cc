// SPDX-License-Identifier: MIT
#include "base/glob.h"

#include <algorithm>

namespace shoal {

namespace {

struct Matcher {
  Bytes pattern;
  bool ignore_case;

  unsigned char fold(char c) const noexcept {
    return static_cast<unsigned char>(ignore_case && c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
  }
  // Whether one element of the pattern at `at` accepts c; moves `at` behind it.
  bool element(size_t& at, char c) const noexcept {
    const char kind = pattern[at];
    if (kind == '?') return ++at, true;
    if (kind == '[') return class_of(at, c);
    if (kind == '\\' && at + 1 < pattern.size()) ++at;
    return fold(pattern[at++]) == fold(c);
  }
  bool class_of(size_t& at, char c) const noexcept {
    ++at;
    const bool negated = at < pattern.size() && pattern[at] == '^';
    if (negated) ++at;
    bool found = false;
    for (; at < pattern.size() && pattern[at] != ']'; ++at) {
      if (pattern[at] == '\\' && at + 1 < pattern.size()) {
        found |= fold(pattern[++at]) == fold(c);
      } else if (at + 2 < pattern.size() && pattern[at + 1] == '-') {
        const auto [low, high] = std::minmax({fold(pattern[at]), fold(pattern[at + 2])});
        found |= low <= fold(c) && fold(c) <= high;
        at += 2;
      } else {
        found |= fold(pattern[at]) == fold(c);
      }
    }
    if (at < pattern.size()) ++at;
    return found != negated;
  }
};

}  // namespace

bool glob_match(Bytes pattern, Bytes text, bool ignore_case) noexcept {
  const Matcher matcher{pattern, ignore_case};
  constexpr size_t kNone = ~size_t{0};
  size_t at = 0, in_text = 0, after_star = kNone, star_text = 0;
  while (in_text < text.size()) {
    if (at < pattern.size() && pattern[at] == '*') {
      after_star = ++at;
      star_text = in_text;
      continue;
    }
    size_t next = at;
    if (at < pattern.size() && matcher.element(next, text[in_text])) {
      at = next;
      ++in_text;
    } else if (after_star != kNone) {  // the last star takes one more
      at = after_star;
      in_text = ++star_text;
    } else {
      return false;
    }
  }
  while (at < pattern.size() && pattern[at] == '*') ++at;
  return at == pattern.size();
}

}  // namespace shoal
