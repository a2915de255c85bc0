// SPDX-License-Identifier: MIT
// cmd_sorted_set.cc: commands of one sorted set; ranges are in cmd_sorted_set_range.cc, unions and the like in
// cmd_sorted_set_combine.cc.
#include "commands/cmd_sorted_set.h"

#include <cmath>

#include "commands/blocking.h"
#include "commands/family.h"
#include "types/sorted_set.h"

namespace shoal {

namespace {

using shm::SortedSetRoot;
using sorted_set::node_at;

constexpr const char* kNotANumber = "ERR resulting score is not a number (NaN)";

struct AddFlags {
  bool nx = false, xx = false, gt = false, lt = false, changed = false, increment = false;
};

bool add_flags(Call& call, AddFlags& flags, size_t& first) noexcept {
  for (first = 2; first < call.argc(); ++first) {
    if (call.arg_is(first, "NX")) {
      flags.nx = true;
    } else if (call.arg_is(first, "XX")) {
      flags.xx = true;
    } else if (call.arg_is(first, "GT")) {
      flags.gt = true;
    } else if (call.arg_is(first, "LT")) {
      flags.lt = true;
    } else if (call.arg_is(first, "CH")) {
      flags.changed = true;
    } else if (call.arg_is(first, "INCR")) {
      flags.increment = true;
    } else {
      break;
    }
  }
  const size_t left = call.argc() - first;
  if (left == 0 || left % 2 == 1) return call.error(kSyntaxError), false;
  if (flags.nx && flags.xx) {
    return call.error("ERR XX and NX options at the same time are not compatible"), false;
  }
  if ((flags.gt && flags.nx) || (flags.lt && flags.nx) || (flags.gt && flags.lt)) {
    return call.error("ERR GT, LT, and/or NX options at the same time are not compatible"), false;
  }
  if (flags.increment && left > 2) {
    return call.error("ERR INCR option supports a single increment-element pair"), false;
  }
  return true;
}

enum class Change { kNone, kAdded, kUpdated, kRefused, kNotANumber, kNoMemory };

// One element of ZADD; `score` becomes what it has then.
Change add_one(Call& call, const SortedSetRoot& root, const AddFlags& flags, Bytes member, double& score) noexcept {
  const uint64_t node = sorted_set::find(call.segment(), root, member);
  if (node == 0) {
    if (flags.xx) return Change::kRefused;
    return sorted_set::add(call.tx(), root, member, score) ? Change::kAdded : Change::kNoMemory;
  }
  if (flags.nx) return Change::kRefused;
  const double old = node_at(call.segment(), node).score;
  if (flags.increment) score += old;
  if (std::isnan(score)) return Change::kNotANumber;
  if ((flags.lt && score >= old) || (flags.gt && score <= old)) return Change::kRefused;
  if (score == old) return Change::kNone;
  sorted_set::set_score(call.tx(), root, node, score);
  return Change::kUpdated;
}

void add(Call& call, const AddFlags& flags, size_t first) noexcept {
  double score = 0;
  for (size_t i = first; i < call.argc(); i += 2) {  // all are checked before one is used
    if (!call.float_arg(i, score) || refuse_long(call, i + 1)) return;
  }
  const Key key = call.key(1);
  Found<SortedSetRoot> found = call.write<SortedSetRoot>(key);
  if (found.wrong_type) return;
  int64_t added = 0, updated = 0;
  bool refused = found.entry == nullptr && flags.xx;
  if (!refused) {
    if (found.entry == nullptr) found = call.create<SortedSetRoot>(key);
    if (found.entry == nullptr) return;
    for (size_t i = first; i < call.argc(); i += 2) {
      if (!call.float_arg(i, score)) return;
      const Change change = add_one(call, *found.root, flags, call.arg(i + 1), score);
      if (change == Change::kNoMemory) return;
      if (change == Change::kNotANumber) return call.error(kNotANumber);
      refused = change == Change::kRefused;
      added += change == Change::kAdded;
      updated += change == Change::kUpdated;
    }
    if (added + updated > 0) call.changed(key, *found.entry);
    if (added > 0) call.ready(key);
  }
  if (!flags.increment) return call.reply().integer(flags.changed ? added + updated : added);
  if (refused) return call.reply().null();
  call.reply().number(score);
}

void reply_rank(Call& call, bool reversed) noexcept {
  const Found<SortedSetRoot> found = call.read<SortedSetRoot>(call.key(1));
  if (found.wrong_type) return;
  const uint64_t node = found.root == nullptr ? 0 : sorted_set::find(call.segment(), *found.root, call.arg(2));
  if (node == 0) return call.reply().null();
  const uint64_t rank = sorted_set::rank(call.segment(), *found.root, node);
  call.reply().integer(static_cast<int64_t>(reversed ? sorted_set::count(*found.root) - 1 - rank : rank));
}

void reply_score(Call& call, const Found<SortedSetRoot>& found, Bytes member) noexcept {
  const uint64_t node = found.root == nullptr ? 0 : sorted_set::find(call.segment(), *found.root, member);
  if (node == 0) return call.reply().null();
  call.reply().number(node_at(call.segment(), node).score);
}

// ---- Popping ----

enum class Side { kMin, kMax };

// Pops and answers an element: member, score.
void pop_one(Call& call, const SortedSetRoot& root, Side side) noexcept {
  const uint64_t node = side == Side::kMax ? root.tail : sorted_set::at_rank(call.segment(), root, 0);
  call.reply().bulk(node_at(call.segment(), node).member());
  call.reply().number(node_at(call.segment(), node).score);
  sorted_set::remove(call.tx(), root, node);
}

void pop(Call& call, Side side) noexcept {
  if (call.argc() > 3) return call.error(kSyntaxError);
  const bool has_count = call.argc() == 3;
  int64_t wanted = 1;
  if (has_count && !range_arg(call, 2, 0, INT64_MAX, wanted, kMustBePositive)) return;
  const Key key = call.key(1);
  const Found<SortedSetRoot> found = call.write<SortedSetRoot>(key);
  if (found.wrong_type) return;
  if (found.entry == nullptr || wanted == 0) return call.reply().array(0);
  const uint64_t count = std::min(static_cast<uint64_t>(wanted), sorted_set::count(*found.root));
  const bool nested = has_count && call.resp3();
  call.reply().array(static_cast<uint32_t>(nested ? count : 2 * count));
  for (uint64_t i = 0; i < count && !call.tx().failed() && !call.reply().overflow(); ++i) {
    if (nested) call.reply().array(2);
    pop_one(call, *found.root, side);
  }
  finish_change(call, key, *found.entry, sorted_set::count(*found.root));
}

void blocking_pop(Call& call, Side side) noexcept {
  int64_t timeout_ms = 0;
  const size_t last = call.argc() - 2;
  if (!blocking::timeout_arg(call, last + 1, timeout_ms)) return;
  for (size_t i = 1; i <= last; ++i) {
    const Key key = call.key(i);
    const Found<SortedSetRoot> found = call.write<SortedSetRoot>(key);
    if (found.wrong_type) return;
    if (found.entry == nullptr) continue;
    if (blocking::takeable(call, key, Type::kSortedSet, sorted_set::count(*found.root)) == 0) continue;
    call.reply().array(3);
    call.reply().bulk(key.name);
    pop_one(call, *found.root, side);
    finish_change(call, key, *found.entry, sorted_set::count(*found.root));
    return blocking::leave(call);
  }
  if (!blocking::wait_for(call, 1, last, Type::kSortedSet, timeout_ms)) call.reply().null_array();
}

struct PopArguments {
  size_t first_key = 0, last_key = 0;
  Side side = Side::kMin;
  int64_t count = 1;
};

// numkeys key [key ...] MIN|MAX [COUNT count]
bool pop_arguments(Call& call, size_t at, PopArguments& arguments) noexcept {
  int64_t keys = 0;
  if (!range_arg(call, at, 1, INT64_MAX, keys, "ERR numkeys should be greater than 0")) return false;
  if (keys >= static_cast<int64_t>(call.argc() - at) - 1) return call.error(kSyntaxError), false;
  arguments.first_key = at + 1;
  arguments.last_key = at + static_cast<size_t>(keys);
  size_t i = arguments.last_key + 1;
  if (!call.arg_is(i, "MIN") && !call.arg_is(i, "MAX")) return call.error(kSyntaxError), false;
  arguments.side = call.arg_is(i, "MIN") ? Side::kMin : Side::kMax;
  if (++i == call.argc()) return true;
  if (i + 1 == call.argc() || !call.arg_is(i, "COUNT")) return call.error(kSyntaxError), false;
  if (!range_arg(call, i + 1, 1, INT64_MAX, arguments.count, "ERR count should be greater than 0")) return false;
  return i + 2 == call.argc() || (call.error(kSyntaxError), false);
}

void multi_pop(Call& call, const PopArguments& arguments, int64_t timeout_ms, bool blocks) noexcept {
  for (size_t i = arguments.first_key; i <= arguments.last_key; ++i) {
    const Key key = call.key(i);
    const Found<SortedSetRoot> found = call.write<SortedSetRoot>(key);
    if (found.wrong_type) return;
    if (found.entry == nullptr) continue;
    uint64_t most = sorted_set::count(*found.root);
    if (blocks) most = blocking::takeable(call, key, Type::kSortedSet, most);
    if (most == 0) continue;
    const uint64_t count = std::min(static_cast<uint64_t>(arguments.count), most);
    call.reply().array(2);
    call.reply().bulk(key.name);
    call.reply().array(static_cast<uint32_t>(count));
    for (uint64_t n = 0; n < count && !call.tx().failed() && !call.reply().overflow(); ++n) {
      call.reply().array(2);
      pop_one(call, *found.root, arguments.side);
    }
    finish_change(call, key, *found.entry, sorted_set::count(*found.root));
    if (blocks) blocking::leave(call);
    return;
  }
  if (blocks && blocking::wait_for(call, arguments.first_key, arguments.last_key, Type::kSortedSet, timeout_ms)) return;
  call.reply().null_array();
}

}  // namespace

void cmd_zadd(Call& call) {
  AddFlags flags;
  size_t first = 0;
  if (add_flags(call, flags, first)) add(call, flags, first);
}

void cmd_zincrby(Call& call) {
  AddFlags flags;
  flags.increment = true;
  size_t first = 0;
  if (add_flags(call, flags, first)) add(call, flags, first);  // an option in place of the increment is one
}

void cmd_zrem(Call& call) {
  const Key key = call.key(1);
  const Found<SortedSetRoot> found = call.write<SortedSetRoot>(key);
  if (found.wrong_type) return;
  int64_t removed = 0;
  for (size_t i = 2; i < call.argc() && found.entry != nullptr && !call.tx().failed(); ++i) {
    const uint64_t node = sorted_set::find(call.segment(), *found.root, call.arg(i));
    if (node == 0) continue;
    sorted_set::remove(call.tx(), *found.root, node);
    ++removed;
  }
  if (removed > 0) finish_change(call, key, *found.entry, sorted_set::count(*found.root));
  call.reply().integer(removed);
}

void cmd_zcard(Call& call) {
  const Found<SortedSetRoot> found = call.read<SortedSetRoot>(call.key(1));
  if (found.wrong_type) return;
  call.reply().integer(found.root == nullptr ? 0 : static_cast<int64_t>(sorted_set::count(*found.root)));
}

void cmd_zscore(Call& call) {
  const Found<SortedSetRoot> found = call.read<SortedSetRoot>(call.key(1));
  if (!found.wrong_type) reply_score(call, found, call.arg(2));
}

void cmd_zmscore(Call& call) {
  const Found<SortedSetRoot> found = call.read<SortedSetRoot>(call.key(1));
  if (found.wrong_type) return;
  call.reply().array(static_cast<uint32_t>(call.argc() - 2));
  for (size_t i = 2; i < call.argc(); ++i) reply_score(call, found, call.arg(i));
}

void cmd_zrank(Call& call) { reply_rank(call, false); }
void cmd_zrevrank(Call& call) { reply_rank(call, true); }
void cmd_zpopmin(Call& call) { pop(call, Side::kMin); }
void cmd_zpopmax(Call& call) { pop(call, Side::kMax); }
void cmd_bzpopmin(Call& call) { blocking_pop(call, Side::kMin); }
void cmd_bzpopmax(Call& call) { blocking_pop(call, Side::kMax); }

void cmd_zmpop(Call& call) {
  PopArguments arguments;
  if (pop_arguments(call, 1, arguments)) multi_pop(call, arguments, 0, false);
}

void cmd_bzmpop(Call& call) {
  PopArguments arguments;
  int64_t timeout_ms = 0;
  if (!pop_arguments(call, 2, arguments) || !blocking::timeout_arg(call, 1, timeout_ms)) return;
  multi_pop(call, arguments, timeout_ms, true);
}

void cmd_zscan(Call& call) {
  ScanArguments scan;
  if (!scan_cursor(call, scan)) return;
  const Found<SortedSetRoot> found = call.read<SortedSetRoot>(call.key(1));
  if (found.wrong_type) return;
  if (found.root == nullptr) return reply_empty_scan(call);
  if (!scan_options(call, scan)) return;
  reply_scan(call, scan, found.root->members, [&](uint64_t item) -> uint32_t {
    const auto& node = node_at(call.segment(), item);
    if (!scan.matches(node.member())) return 0;
    call.reply().bulk(node.member());
    call.reply().bulk(format_float(node.score));
    return 2;
  });
}

void cmd_zrandmember(Call& call) {
  RandomArguments arguments;
  if (!random_arguments(call, "WITHSCORES", arguments)) return;
  const Found<SortedSetRoot> found = call.read<SortedSetRoot>(call.key(1));
  if (found.wrong_type) return;
  if (found.root == nullptr) return arguments.many ? call.reply().array(0) : call.reply().null();
  const auto emit = [&](uint64_t item) {
    call.reply().bulk(node_at(call.segment(), item).member());
    if (arguments.with_values) call.reply().number(node_at(call.segment(), item).score);
  };
  if (arguments.many) return reply_random(call, found.root->members, arguments, arguments.with_values, emit);
  emit(Dict::random_item(call.segment(), found.root->members, call.random()));
}

}  // namespace shoal
