// SPDX-License-Identifier: MIT
// sorted_set_range.h: ranges of sorted sets as commands write them: "(1.5" "+inf" by score, "[a" "(b" "-" by member, 0
// -1 by rank.
// Each is turned into a range of ranks.
#pragma once

#include "commands/family.h"
#include "types/sorted_set.h"

namespace shoal {

inline constexpr const char* kNotARange = "ERR min or max is not a float";
inline constexpr const char* kNotALexRange = "ERR min or max not valid string range item";

enum class RangeBy : uint8_t { kRank, kScore, kLex };

struct ScoreLimit {
  double value = 0;
  bool exclusive = false;
};
struct LexLimit {
  Bytes value;
  int infinite = 0;  // -1: before all, +1: behind all
  bool exclusive = false;
};

struct SortedSetRange {
  RangeBy by = RangeBy::kRank;
  int64_t first = 0, last = 0;  // ranks
  ScoreLimit min_score, max_score;
  LexLimit min_lex, max_lex;
};

// Reads the limits from two arguments; false: answered.
bool range_limits(Call& call, SortedSetRange& range, size_t min_at, size_t max_at) noexcept;
// The ranks of the elements inside, counted from the end if `reversed` (that matters for ranges of ranks).
IndexRange ranks_of(const Segment& segment, const shm::SortedSetRoot& root, const SortedSetRange& range,
                    bool reversed) noexcept;

}  // namespace shoal
