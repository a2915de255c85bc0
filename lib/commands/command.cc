// SPDX-License-Identifier: MIT
#include "commands/command.h"

#include <bit>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "commands/session.h"

namespace shoal {

namespace {

char upper_case(char c) noexcept { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; }

// Every command names its row: an open-addressed table, at most half full, with FNV-1a (Fowler, Noll, Vo 1991) over the
// upper-case name.
class Names {
 public:
  Names() {
    const auto rows = command_table();
    places_.resize(std::bit_ceil(2 * rows.size()));
    for (const Command& row : rows) {
      const std::string_view name = row.name;
      size_t place = hash(name) & (places_.size() - 1);
      while (places_[place].row != nullptr) place = (place + 1) & (places_.size() - 1);
      places_[place] = {name, &row};
    }
  }
  const Command* find(Bytes name) const noexcept {
    for (size_t place = hash(name) & (places_.size() - 1);; place = (place + 1) & (places_.size() - 1)) {
      const Place& there = places_[place];
      if (there.row == nullptr || same(name, there.name)) return there.row;
    }
  }

 private:
  struct Place {
    std::string_view name;
    const Command* row = nullptr;
  };
  static uint32_t hash(Bytes name) noexcept {
    uint32_t hash = 2166136261u;
    for (const char c : name) hash = (hash ^ static_cast<unsigned char>(upper_case(c))) * 16777619u;
    return hash ^ hash >> 16;
  }
  static bool same(Bytes name, std::string_view upper) noexcept {
    if (name.size() != upper.size()) return false;
    for (size_t i = 0; i < name.size(); ++i) {
      if (upper_case(name[i]) != upper[i]) return false;
    }
    return true;
  }
  std::vector<Place> places_;
};

// Made when the library is loaded: the guard of a first use is a lock that a forked child may inherit.
// Not destroyed before threads that end late.
const Names& names = *new Names();

}  // namespace

const Command* find_command(Bytes name) noexcept { return name.size() > 64 ? nullptr : names.find(name); }

Call::Call(Session& session, const Command& command, std::span<const Bytes> arguments, Transaction* tx,
           Reply& reply) noexcept
    : session_(session), command_(command), arguments_(arguments), tx_(tx), reply_(reply), reply_start_(reply.used()) {}

int64_t Call::now_ms() noexcept {
  if (now_ms_ == 0) now_ms_ = wall_clock_ms();  // asked once: a command sees one time
  return now_ms_;
}

bool is_word(Bytes text, const char* word) noexcept {
  for (size_t i = 0; i < text.size(); ++i, ++word) {
    const char c = text[i] >= 'a' && text[i] <= 'z' ? static_cast<char>(text[i] - 32) : text[i];
    if (c != *word || *word == '\0') return false;
  }
  return *word == '\0';
}

const char* parse_database(Bytes text, uint32_t& database) noexcept {
  int64_t number;
  if (!parse_integer(text, number)) return kNotAnInteger;
  if (number < INT32_MIN || number > INT32_MAX) {
    return "ERR value is out of range, value must between -2147483648 and 2147483647";
  }
  if (number < 0 || number >= kDatabaseCount) return "ERR DB index is out of range";
  database = static_cast<uint32_t>(number);
  return nullptr;
}

bool Call::arg_is(size_t index, const char* word) const noexcept { return is_word(arguments_[index], word); }

bool Call::integer_arg(size_t index, int64_t& value, const char* error_text) noexcept {
  if (parse_integer(arguments_[index], value)) return true;
  error(error_text);
  return false;
}

bool Call::float_arg(size_t index, double& value, const char* error_text) noexcept {
  if (parse_float(arguments_[index], value)) return true;
  error(error_text);
  return false;
}

void Call::error(Bytes text) noexcept {
  reply_.rewind(reply_start_);
  reply_.error(text);
  failed_ = true;
}

bool Call::resp3() const noexcept { return session_.protocol() == 3; }
const Segment& Call::segment() noexcept { return session_.process().segment(); }
uint32_t Call::database() const noexcept { return session_.database(); }

Key Call::key(size_t argument) noexcept { return keyspace::make_key(segment(), database(), arguments_[argument]); }

uint64_t Call::random() noexcept {  // xorshift64*: Marsaglia 2003, Vigna 2016
  thread_local uint64_t state = static_cast<uint64_t>(monotonic_ns()) | 1;
  state ^= state >> 12;
  state ^= state << 25;
  state ^= state >> 27;
  return state * 0x2545f4914f6cdd1dULL;
}

void Call::ready(const Key& key) noexcept { waiters::offer(*tx_, key, session_.wakes()); }

bool Call::may_block() const noexcept { return !session_.in_multi() && !session_.runs_atomically(); }

}  // namespace shoal
