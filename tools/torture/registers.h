// SPDX-License-Identifier: MIT
// registers.h: what lies in the segment, and how it is written and read. A register holds the number of its last write,
// each kind in its own way; whether it is there at all is a function of the number, and so is every byte of it.
#pragma once

#include <optional>

#include "tools/torture/record.h"
#include "tools/torture/talk.h"

namespace shoal::tool::chaos {

// Whether a register that holds this number is there: every eighth write removes it.
constexpr bool is_there(Kind kind, uint64_t number) noexcept {
  return kind == Kind::kMember ? number % 2 == 1 : number % 8 != 0;
}

// What was read: nothing, or a number. A set tells no numbers: any of the right parity would do.
struct Seen {
  bool there = false, known = false;
  uint64_t number = 0;
  std::string problem;  // not empty: torn, of somebody else, half of a bundle, an error

  bool fits(Kind kind, uint64_t expected) const noexcept {
    return there == is_there(kind, expected) && (!known || number == expected);
  }
  // Whether it may be the number of a register that stood between the two while it was read.
  bool fits(Kind kind, uint64_t from, uint64_t to) const noexcept;
  std::string text() const;
};

Answer write_register(Talk& talk, uint32_t actor, uint32_t reg, uint64_t number);
Seen read_register(Talk& talk, uint32_t actor, uint32_t reg);

// "actor number filler", the filler a function of both: a torn one cannot look whole.
std::string speech(uint32_t actor, uint64_t number, uint64_t longest);
struct Said {
  uint32_t actor;
  uint64_t number;
};
std::optional<Said> parse_speech(Bytes text, uint64_t longest);

std::string key(const char* what, uint64_t a);
std::string key(const char* what, uint64_t a, uint64_t b);
inline std::string channel_name(uint32_t channel) { return key("torture:room", channel); }
inline constexpr const char* kQueue = "torture:jobs";
inline constexpr uint64_t kMessageMax = 700, kTaskBytesMax = 300;

// An actor's own list: numbers that follow each other. First and last of it; {0, 0}: it is empty.
struct Line {
  uint64_t first = 0, last = 0;
  std::string problem;
};
Line read_line(Talk& talk, uint32_t actor);

}  // namespace shoal::tool::chaos
