// SPDX-License-Identifier: MIT
// EXEC, WATCH and SCAN where another design failed.
#include <set>

#include "base/clock.h"
#include "commands/blocking.h"
#include "keyspace/keyspace.h"
#include "support/redis_session.h"

namespace shoal {
namespace {

class ExecTest : public ::testing::Test {
 protected:
  std::string other_key_of_the_same_shard(const std::string& key) {
    for (int i = 0;; ++i) {
      const std::string other = "other" + std::to_string(i);
      if (keyspace::make_key(segment_.segment(), 0, other).shard ==
          keyspace::make_key(segment_.segment(), 0, key).shard)
        return other;
    }
  }
  TestSegment segment_;
  TestSession r{segment_}, s{segment_};
};

// B5: Redis does not roll back what ran before; the command that failed leaves nothing of its own.
TEST_F(ExecTest, ACommandThatFailsIsUndoneAndTheOthersAreNot) {
  r("RPUSH l 1 2");
  r("SET text x");
  r("EXPIRE l 3600");
  set_wall_clock_offset_ms(7'200'000);
  r("MULTI");
  r("SET before 1");
  r("LMPOP 2 l text LEFT");  // takes the expired list out, and then fails
  r("SET after 1");
  const std::string reply = r("EXEC");
  EXPECT_TRUE(reply.starts_with("[OK, (error) WRONGTYPE") && reply.ends_with(", OK]")) << reply;
  EXPECT_EQ(r("DBSIZE"), "4") << "before, text, after and the list that is still to be removed";
  set_wall_clock_offset_ms(0);
  EXPECT_EQ(r("LRANGE l 0 -1"), "[1, 2]");
}

// C6: a WATCH looks at its keys, not at their shard.
TEST_F(ExecTest, ASelectThatWasUndoneIsNone) {
  SegmentOptions options = tiny_segment_options();
  options.max_size = 8 * kMiB;
  TestSegment segment(options);
  TestSession r(segment);
  r("MULTI");
  r("SELECT 5");
  r.run({"SET", "a", std::string(9'000'000, 'x')});
  EXPECT_EQ(r("EXEC").substr(0, 11), "(error) OOM");
  EXPECT_EQ(r.session().database(), 0u);
  r("MULTI");
  r("SET a 1");
  r("SELECT 5");
  EXPECT_EQ(r("EXEC"), "[OK, OK]");
  EXPECT_EQ(r.session().database(), 5u);
  EXPECT_EQ(r("GET a"), "(nil)");
}

TEST_F(ExecTest, AWatchDoesNotFireForAnotherKeyOfItsShard) {
  const std::string other = other_key_of_the_same_shard("watched");
  r("SET watched 1");
  for (const char* change : {"SET ", "INCR ", "DEL ", "RPUSH "}) {
    r("WATCH watched");
    s(change + other + (change[0] == 'S' || change[0] == 'R' ? " 1" : ""));
    r("MULTI");
    r("INCR watched");
    EXPECT_NE(r("EXEC"), "(nil array)") << change;
  }
  EXPECT_EQ(r("GET watched"), "5");
}

// C7: the cursor survives a table that grows and shrinks under it.
TEST_F(ExecTest, AScanSeesEveryKeyThatStaysWhileBucketsSplitAndMerge) {
  for (int i = 0; i < 400; ++i) r("SET stays" + std::to_string(i) + " 1");
  for (bool growing : {true, false}) {
    for (int i = 0; !growing && i < 4000; ++i) r("SET goes" + std::to_string(i) + " 1");
    std::set<std::string> seen;
    std::string cursor = "0";
    int round = 0;
    do {
      std::vector<Bytes> words{"SCAN", cursor, "MATCH", "stays*", "COUNT", "7"};
      ASSERT_EQ(r.session().execute(words), Outcome::kReplied);
      ReplyReader reader(r.session().reply());
      ASSERT_EQ(reader.tag(), Reply::Tag::kArray);
      ASSERT_EQ(reader.count(), 2u);
      (void)reader.tag();
      cursor = std::string(reader.text());
      (void)reader.tag();
      for (uint32_t left = reader.count(); left > 0; --left) {
        (void)reader.tag();
        seen.insert(std::string(reader.text()));
      }
      for (int i = 0; i < 40; ++i) {
        const std::string name = std::to_string(round * 40 + i);
        if (growing && round < 100) r("SET comes" + name + " 1");
        if (!growing) r("DEL comes" + name + " goes" + name);
      }
      ++round;
    } while (cursor != "0");
    EXPECT_EQ(seen.size(), 400u) << (growing ? "growing" : "shrinking");
  }
}

// D4: what a waiter was woken for is his until he has run; whoever comes later finds nothing.
TEST_F(ExecTest, AnElementThatAWaiterWasWokenForIsNotTakenByWhoComesLater) {
  TestSession waiter(segment_);
  ASSERT_EQ(waiter("BLPOP queue 0"), "(pending)");
  s("RPUSH queue first");
  EXPECT_EQ(r("BLPOP queue 0.01"), "(pending)");
  r("RPUSH queue second");
  EXPECT_EQ(blocking::resume(waiter.session(), kLockBudgetNs), Outcome::kReplied);
  ReplyReader reader(waiter.session().reply());
  EXPECT_EQ(show(reader), "[queue, first]");
}

}  // namespace
}  // namespace shoal
