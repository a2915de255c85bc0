// SPDX-License-Identifier: MIT
// cmd_sorted_set_range.cc: commands that read, count, store or remove a range of a sorted set.
#include "commands/cmd_sorted_set.h"
#include "commands/sorted_set_range.h"
#include "commands/sorted_set_result.h"

namespace shoal {

namespace {

using shm::SortedSetRoot;
using sorted_set::node_at;

struct RangeArguments {
  SortedSetRange range;
  bool fixed_by = false, fixed_direction = false;  // the old commands: ZRANGEBYSCORE ...
  bool reversed = false, with_scores = false;
  int64_t offset = 0, limit = -1;
};

// key min max [BYSCORE|BYLEX] [REV] [LIMIT offset count] [WITHSCORES], the key at `at`.
bool range_arguments(Call& call, size_t at, bool stores, RangeArguments& arguments) noexcept {
  SortedSetRange& range = arguments.range;
  bool by_given = arguments.fixed_by, direction_given = arguments.fixed_direction;
  for (size_t i = at + 3; i < call.argc(); ++i) {
    if (!stores && call.arg_is(i, "WITHSCORES")) {
      arguments.with_scores = true;
    } else if (call.arg_is(i, "LIMIT") && i + 2 < call.argc()) {
      if (!call.integer_arg(i + 1, arguments.offset) || !call.integer_arg(i + 2, arguments.limit)) return false;
      i += 2;
    } else if (!direction_given && call.arg_is(i, "REV")) {
      arguments.reversed = direction_given = true;
    } else if (!by_given && (call.arg_is(i, "BYLEX") || call.arg_is(i, "BYSCORE"))) {
      range.by = call.arg_is(i, "BYLEX") ? RangeBy::kLex : RangeBy::kScore;
      by_given = true;
    } else {
      return call.error(kSyntaxError), false;
    }
  }
  if (arguments.limit != -1 && range.by == RangeBy::kRank) {
    call.error("ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX");
    return false;
  }
  if (arguments.with_scores && range.by == RangeBy::kLex) {
    call.error("ERR syntax error, WITHSCORES not supported in combination with BYLEX");
    return false;
  }
  const bool max_first = arguments.reversed && range.by != RangeBy::kRank;
  return range_limits(call, range, at + (max_first ? 2 : 1), at + (max_first ? 1 : 2));
}

// The ranks to visit, LIMIT applied.
IndexRange selected(Call& call, const SortedSetRoot& root, const RangeArguments& arguments) noexcept {
  IndexRange ranks = ranks_of(call.segment(), root, arguments.range, arguments.reversed);
  if (arguments.range.by == RangeBy::kRank) return ranks;
  if (arguments.offset < 0 || static_cast<uint64_t>(arguments.offset) >= ranks.count) return {};
  const auto offset = static_cast<uint64_t>(arguments.offset);
  const uint64_t left = ranks.count - offset;
  const uint64_t count = arguments.limit < 0 ? left : std::min(left, static_cast<uint64_t>(arguments.limit));
  ranks.first += arguments.reversed ? left - count : offset;
  ranks.count = count;
  return ranks;
}

template <typename Visit>
void visit_ranks(Call& call, const SortedSetRoot& root, IndexRange ranks, bool reversed, Visit&& visit) noexcept {
  if (ranks.count == 0) return;
  const Segment& segment = call.segment();
  uint64_t node = sorted_set::at_rank(segment, root, reversed ? ranks.first + ranks.count - 1 : ranks.first);
  for (uint64_t i = 0; i < ranks.count && !call.reply().overflow() && !call.tx().failed(); ++i) {
    const uint64_t following = reversed ? sorted_set::previous(segment, node) : sorted_set::next(segment, node);
    visit(node);
    node = following;
  }
}

void range(Call& call, RangeArguments arguments) noexcept {
  if (!range_arguments(call, 1, false, arguments)) return;
  const Found<SortedSetRoot> found = call.read<SortedSetRoot>(call.key(1));
  if (found.wrong_type) return;
  if (found.root == nullptr) return call.reply().array(0);
  const IndexRange ranks = selected(call, *found.root, arguments);
  reply_element_count(call, ranks.count, arguments.with_scores);
  visit_ranks(call, *found.root, ranks, arguments.reversed,
              [&](uint64_t node) { reply_element(call, node_at(call.segment(), node), arguments.with_scores); });
}

void range_of(Call& call, RangeBy by, bool reversed) noexcept {
  RangeArguments arguments;
  arguments.range.by = by;
  arguments.fixed_by = arguments.fixed_direction = true;
  arguments.reversed = reversed;
  range(call, arguments);
}

void count(Call& call, RangeBy by) noexcept {
  SortedSetRange range;
  range.by = by;
  if (!range_limits(call, range, 2, 3)) return;
  const Found<SortedSetRoot> found = call.read<SortedSetRoot>(call.key(1));
  if (found.wrong_type) return;
  if (found.root == nullptr) return call.reply().integer(0);
  call.reply().integer(static_cast<int64_t>(ranks_of(call.segment(), *found.root, range, false).count));
}

void remove_range(Call& call, RangeBy by) noexcept {
  SortedSetRange range;
  range.by = by;
  if (!range_limits(call, range, 2, 3)) return;
  const Key key = call.key(1);
  const Found<SortedSetRoot> found = call.write<SortedSetRoot>(key);
  if (found.wrong_type) return;
  if (found.root == nullptr) return call.reply().integer(0);
  const IndexRange ranks = ranks_of(call.segment(), *found.root, range, false);
  if (ranks.count > 0 && ranks.count == sorted_set::count(*found.root)) {
    call.remove(key, *found.entry);
  } else if (ranks.count > 0) {
    visit_ranks(call, *found.root, ranks, false,
                [&](uint64_t node) { sorted_set::remove(call.tx(), *found.root, node); });
    call.changed(key, *found.entry);
  }
  call.reply().integer(static_cast<int64_t>(ranks.count));
}

}  // namespace

void cmd_zrange(Call& call) { range(call, {}); }
void cmd_zrevrange(Call& call) { range_of(call, RangeBy::kRank, true); }
void cmd_zrangebyscore(Call& call) { range_of(call, RangeBy::kScore, false); }
void cmd_zrevrangebyscore(Call& call) { range_of(call, RangeBy::kScore, true); }
void cmd_zrangebylex(Call& call) { range_of(call, RangeBy::kLex, false); }
void cmd_zrevrangebylex(Call& call) { range_of(call, RangeBy::kLex, true); }
void cmd_zcount(Call& call) { count(call, RangeBy::kScore); }
void cmd_zlexcount(Call& call) { count(call, RangeBy::kLex); }
void cmd_zremrangebyrank(Call& call) { remove_range(call, RangeBy::kRank); }
void cmd_zremrangebyscore(Call& call) { remove_range(call, RangeBy::kScore); }
void cmd_zremrangebylex(Call& call) { remove_range(call, RangeBy::kLex); }

void cmd_zrangestore(Call& call) {
  RangeArguments arguments;
  if (!range_arguments(call, 2, true, arguments)) return;
  const Found<SortedSetRoot> found = call.read<SortedSetRoot>(call.key(2));
  if (found.wrong_type) return;
  const Key target = call.key(1);
  call.tx().set_home(target.shard);
  SortedSetResult result(call);
  if (!result.good()) return;
  if (found.root != nullptr) {
    const IndexRange ranks = selected(call, *found.root, arguments);
    visit_ranks(call, *found.root, ranks, arguments.reversed, [&](uint64_t node) {
      const auto& element = node_at(call.segment(), node);
      sorted_set::add(call.tx(), result.root(), element.member(), element.score);
    });
  }
  result.store(target);
}

}  // namespace shoal
