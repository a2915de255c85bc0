// SPDX-License-Identifier: MIT
#include "commands/sorted_set_range.h"

namespace shoal {

namespace {

bool parse_limit(Bytes text, ScoreLimit& limit) noexcept {
  limit.exclusive = !text.empty() && text[0] == '(';
  if (limit.exclusive) text.remove_prefix(1);
  return parse_score_limit(text, limit.value);
}

bool parse_lex_limit(Bytes text, LexLimit& limit) noexcept {
  if (text == "-" || text == "+") {
    limit.infinite = text == "-" ? -1 : 1;
    return true;
  }
  if (text.empty() || (text[0] != '(' && text[0] != '[')) return false;
  limit.exclusive = text[0] == '(';
  limit.value = text.substr(1);
  return true;
}

// Whether an element lies before the range.
bool below(const sorted_set::Node& node, const SortedSetRange& range) noexcept {
  if (range.by == RangeBy::kScore) {
    const ScoreLimit& min = range.min_score;
    return min.exclusive ? node.score <= min.value : node.score < min.value;
  }
  const LexLimit& min = range.min_lex;
  if (min.infinite != 0) return min.infinite > 0;
  return min.exclusive ? node.member() <= min.value : node.member() < min.value;
}

// Whether an element lies before the end of the range.
bool not_above(const sorted_set::Node& node, const SortedSetRange& range) noexcept {
  if (range.by == RangeBy::kScore) {
    const ScoreLimit& max = range.max_score;
    return max.exclusive ? node.score < max.value : node.score <= max.value;
  }
  const LexLimit& max = range.max_lex;
  if (max.infinite != 0) return max.infinite > 0;
  return max.exclusive ? node.member() < max.value : node.member() <= max.value;
}

}  // namespace

bool range_limits(Call& call, SortedSetRange& range, size_t min_at, size_t max_at) noexcept {
  switch (range.by) {
    case RangeBy::kRank:
      return call.integer_arg(min_at, range.first) && call.integer_arg(max_at, range.last);
    case RangeBy::kScore:
      if (parse_limit(call.arg(min_at), range.min_score) && parse_limit(call.arg(max_at), range.max_score)) {
        return true;
      }
      return call.error(kNotARange), false;
    case RangeBy::kLex:
      if (parse_lex_limit(call.arg(min_at), range.min_lex) && parse_lex_limit(call.arg(max_at), range.max_lex))
        return true;
      return call.error(kNotALexRange), false;
  }
  return false;
}

IndexRange ranks_of(const Segment& segment, const shm::SortedSetRoot& root, const SortedSetRange& range,
                    bool reversed) noexcept {
  const uint64_t total = sorted_set::count(root);
  if (range.by == RangeBy::kRank) {
    const IndexRange ranks = index_range(range.first, range.last, total);
    if (!reversed || ranks.count == 0) return ranks;
    return {total - ranks.first - ranks.count, ranks.count};
  }
  const uint64_t first = sorted_set::count_before(segment, root, [&](const auto& node) { return below(node, range); });
  const uint64_t end =
      sorted_set::count_before(segment, root, [&](const auto& node) { return not_above(node, range); });
  return first < end ? IndexRange{first, end - first} : IndexRange{};
}

}  // namespace shoal
