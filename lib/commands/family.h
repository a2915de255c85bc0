// SPDX-License-Identifier: MIT
// family.h: what the commands of lists, hashes, sets and sorted sets have in common.
#pragma once

#include <algorithm>

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

// The options of HSCAN, SSCAN and ZSCAN: cursor, MATCH, COUNT. False: answered.
struct ScanArguments {
  uint32_t cursor = 0;
  Bytes pattern;
  int64_t count = 10;
  bool matches(Bytes text) const noexcept { return pattern.empty() || glob_match(pattern, text); }
};
bool scan_arguments(Call& call, ScanArguments& scan) noexcept;
// Answers [cursor, array of what `emit(item)` adds for each item; it returns how many values that was].
template <typename Emit>
void reply_scan(Call& call, const ScanArguments& scan, const shm::DictRoot& dict, Emit&& emit) noexcept {
  // The cursor is known at the end: it is written into a bulk of fixed width, which must not have leading zeros, so
  // the walk
  // is done twice: once to know it, once to answer.
  uint32_t cursor = scan.cursor;
  int64_t seen = 0;
  const auto walk = [&](auto&& visit) {
    cursor = scan.cursor;
    seen = 0;
    for (int64_t buckets = 0; buckets < 10 * scan.count && seen < scan.count; ++buckets) {
      cursor = Dict::scan(call.segment(), dict, cursor, [&](uint64_t item) {
        ++seen;
        visit(item);
      });
      if (cursor == 0) return;
    }
  };
  walk([](uint64_t) {});
  call.reply().array(2);
  call.reply().bulk(format_integer(cursor));
  const size_t mark = call.reply().begin(Reply::Tag::kArray);
  uint32_t values = 0;
  walk([&](uint64_t item) { values += emit(item); });
  call.reply().end(mark, values);
}

}  // namespace shoal
