// SPDX-License-Identifier: MIT
// family.h: what the commands of lists, hashes, sets and sorted sets have in common.
#pragma once

#include <algorithm>

#include "base/glob.h"
#include "commands/command.h"
#include "types/stored_bytes.h"

namespace shoal {

inline void reply_bulk(Call& call, const StoredBytes& stored) noexcept {
  if (!stored.is_blob()) return call.reply().bulk(stored.inside);
  call.reply().begin_bulk(stored.size());
  stored.for_each_piece(call.segment(), [&](Bytes piece) { call.reply().append(piece); });
}

// An argument in [least, most]; false: answered with the text.
inline bool range_arg(Call& call, size_t index, int64_t least, int64_t most, int64_t& value,
                      const char* text) noexcept {
  if (parse_integer(call.arg(index), value) && value >= least && value <= most) return true;
  call.error(text);
  return false;
}

inline constexpr const char* kMustBePositive = "ERR value is out of range, must be positive";

// The value of a key was changed: an empty one goes.
inline void finish_change(Call& call, const Key& key, const shm::Entry& entry, uint64_t count) noexcept {
  if (count == 0) {
    call.remove(key, entry);
  } else {
    call.changed(key, entry);
  }
}

// Indexes from..to, negative ones from the end, as a range [first, first + count) of `total`; count = 0: nothing.
struct IndexRange {
  uint64_t first = 0, count = 0;
};
inline IndexRange index_range(int64_t from, int64_t to, uint64_t total) noexcept {
  const auto size = static_cast<int64_t>(total);
  if (from < 0) from = std::max<int64_t>(from + size, 0);
  if (to < 0) to += size;
  to = std::min(to, size - 1);
  if (from > to || from >= size) return {};
  return {static_cast<uint64_t>(from), static_cast<uint64_t>(to - from + 1)};
}

// Answers the error for a member or field that is too long for a block.
bool refuse_long(Call& call, size_t argument) noexcept;

// HSCAN, SSCAN and ZSCAN: cursor, then (Redis looks at them only if the key is there) MATCH and COUNT. False: answered.
struct ScanArguments {
  uint32_t cursor = 0;
  Bytes pattern = "*";
  int64_t count = 10;
  bool matches(Bytes text) const noexcept { return pattern == "*" || glob_match(pattern, text); }
};
bool scan_cursor(Call& call, ScanArguments& scan) noexcept;
bool scan_options(Call& call, ScanArguments& scan) noexcept;
// Answers [cursor, array of what `emit(item)` adds for each item; it returns how many values that was].
template <typename Emit>
void reply_scan(Call& call, const ScanArguments& scan, const shm::DictRoot& dict, Emit&& emit) noexcept {
  const auto walk = [&](auto&& visit) {
    uint32_t cursor = scan.cursor;
    int64_t seen = 0;
    for (int64_t buckets = 0; buckets / 10 < scan.count && seen < scan.count; ++buckets) {
      cursor = Dict::scan(call.segment(), dict, cursor, [&](uint64_t item) {
        ++seen;
        visit(item);
      });
      if (cursor == 0) break;
    }
    return cursor;
  };
  call.reply().array(2);
  call.reply().bulk(format_integer(walk([](uint64_t) {})));  // the cursor stands first and is known last: walked twice
  const size_t mark = call.reply().begin(Reply::Tag::kArray);
  uint32_t values = 0;
  walk([&](uint64_t item) { values += emit(item); });
  call.reply().end(mark, values);
}
inline void reply_empty_scan(Call& call) noexcept {
  call.reply().array(2);
  call.reply().bulk("0");
  call.reply().array(0);
}

// The argument of SRANDMEMBER, HRANDFIELD, ZRANDMEMBER: how many random items; negative: with repetition.
struct RandomArguments {
  bool many = false, with_values = false;
  int64_t count = 1;
};
// `values_word` is what asks for more than the name ("WITHVALUES"), nullptr if nothing does.
bool random_arguments(Call& call, const char* values_word, RandomArguments& arguments) noexcept;
// Visits `count` different random items of the dict, or all if it has no more.
template <typename Visit>
void random_items(Call& call, const shm::DictRoot& dict, uint64_t count, Visit&& visit) noexcept {
  constexpr uint64_t kChosenMax = 128;
  const uint64_t total = dict.count;
  count = std::min(count, total);
  if (count <= kChosenMax && 2 * count < total) {
    uint64_t chosen[kChosenMax], found = 0;
    while (found < count) {
      const uint64_t item = Dict::random_item(call.segment(), dict, call.random());
      if (std::find(chosen, chosen + found, item) != chosen + found) continue;
      visit(chosen[found++] = item);
    }
    return;
  }
  uint64_t left = total, wanted = count;  // selection sampling (Knuth 3.4.2 S): each with the chance wanted / left
  Dict::for_each(call.segment(), dict, [&](uint64_t item) {
    if (wanted == 0) return;
    if (call.random() % left-- < wanted) {
      --wanted;
      visit(item);
    }
  });
}
// Answers items as RandomArguments ask; emit(item) adds one item's value or values.
template <typename Emit>
void reply_random(Call& call, const shm::DictRoot& dict, const RandomArguments& arguments, bool pairs,
                  Emit&& emit) noexcept {
  const uint64_t total = dict.count, wanted = arguments.count < 0 ? 0 - static_cast<uint64_t>(arguments.count)
                                                                  : static_cast<uint64_t>(arguments.count);
  const uint64_t count = arguments.count < 0 ? wanted : std::min(wanted, total);
  const bool nested = pairs && call.resp3();
  call.reply().array(static_cast<uint32_t>(pairs && !nested ? 2 * count : count));
  const auto answer = [&](uint64_t item) {
    if (nested) call.reply().array(2);
    emit(item);
  };
  if (arguments.count >= 0) return random_items(call, dict, count, answer);
  for (uint64_t i = 0; i < count && !call.reply().overflow(); ++i) {
    answer(Dict::random_item(call.segment(), dict, call.random()));
  }
}

}  // namespace shoal
