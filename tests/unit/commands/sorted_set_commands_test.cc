// SPDX-License-Identifier: MIT
// What replaying random commands beside a real Redis found.
#include "support/redis_session.h"

namespace shoal {
namespace {

TEST(SortedSetCommands, AnInfiniteScoreTimesAWeightOfZero) {
  TestSegment segment;
  TestSession r(segment);
  r("ZADD a inf x 1 y");
  r("ZADD b inf x 1 y");
  EXPECT_EQ(r("ZINTER 2 a b WEIGHTS 0 1 WITHSCORES"), r("ZUNION 2 a b WEIGHTS 0 1 WITHSCORES"));
  EXPECT_EQ(r("ZINTER 2 a b WEIGHTS 1 0 WITHSCORES"), "[[x, 0], [y, 1]]")
      << "the second product is not a number: the sum is 0";
  EXPECT_EQ(r("ZUNION 2 a b WEIGHTS 1 0 WITHSCORES"), "[[y, 1], [x, inf]]");
}

TEST(SortedSetCommands, AnOptionOfZaddInPlaceOfAnIncrement) {
  TestSegment segment;
  TestSession r(segment);
  EXPECT_EQ(r("ZINCRBY k ch m"), "(error) ERR syntax error");
  EXPECT_EQ(r("ZINCRBY k 2 m"), "2");
}

}  // namespace
}  // namespace shoal
