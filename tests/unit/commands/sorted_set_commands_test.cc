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

TEST(SortedSetCommands, ALimitIsWhatStrtodReads) {
  TestSegment segment;
  TestSession r(segment);
  r("ZADD z 0 zero 1 one 2 two inf more");
  const auto count = [&](const std::string& min, const std::string& max) { return r.run({"ZCOUNT", "z", min, max}); };
  EXPECT_EQ(count(" 1", "\t2"), "2");
  EXPECT_EQ(count("( 1", " 0x2"), "1");
  EXPECT_EQ(count("", "("), "0") << "nothing is 0";
  EXPECT_EQ(count("", "1e999"), "4") << "too large is infinite";
  EXPECT_EQ(count(std::string("1\0x", 3), "2"), "2") << "a zero byte ends it";
  for (const char* none : {" ", "1 ", "x", "nan", "((1"}) {
    EXPECT_EQ(count(none, "2"), "(error) ERR min or max is not a float") << none;
    EXPECT_EQ(r.run({"ZADD", "z", none, "m"}), "(error) ERR value is not a valid float") << none;
  }
  const std::string zeros(509, '0');
  EXPECT_EQ(count(zeros + "1", zeros + "2"), "2");
  EXPECT_EQ(count(zeros + "100", "2"), "(error) ERR min or max is not a float");
  EXPECT_EQ(r.run({"INCRBYFLOAT", "n", zeros + "1"}), "1");
  EXPECT_EQ(r.run({"INCRBYFLOAT", "n", zeros + "100"}), "(error) ERR value is not a valid float");
  EXPECT_EQ(r.run({"ZADD", "z", " 1", "m"}), "(error) ERR value is not a valid float") << "a score has no blanks";
  EXPECT_EQ(r.run({"ZADD", "z", std::string("1\0x", 3), "m"}), "(error) ERR value is not a valid float");
}

}  // namespace
}  // namespace shoal
