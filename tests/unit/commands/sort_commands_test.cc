// SPDX-License-Identifier: MIT
// SORT where the replay against Redis (tests/compat) may not look: orders that Redis leaves open, values of several
// pieces, arenas that are too small, full segments, waiters.
#include "commands/blocking.h"
#include "commands/check.h"
#include "support/redis_session.h"

namespace shoal {
namespace {

class SortCommands : public ::testing::Test {
 protected:
  ~SortCommands() override {
    for (const Finding& finding : check(segment_.segment()).findings) ADD_FAILURE() << describe(finding);
  }
  TestSegment segment_;
  TestSession r_{segment_, 2};
};

TEST_F(SortCommands, NumbersAreNotTexts) {
  r_("RPUSH l 10 9 -1 1e1 0x10");
  EXPECT_EQ(r_("SORT l"), "[-1, 9, 10, 1e1, 0x10]");
  EXPECT_EQ(r_("SORT l DESC LIMIT 1 2"), "[1e1, 10]");
  EXPECT_EQ(r_("SORT l ALPHA"), "[-1, 0x10, 10, 1e1, 9]");
  r_("RPUSH l x");
  EXPECT_EQ(r_("SORT l"), "(error) ERR One or more scores can't be converted into double");
  EXPECT_EQ(r_("SORT l STORE l"), "(error) ERR One or more scores can't be converted into double");
  EXPECT_EQ(r_("LLEN l"), "6");
}

TEST_F(SortCommands, ByAndGetNameKeysAndFieldsOfAllShards) {
  r_("RPUSH l 1 2 3");
  r_("MSET weight_1 30 weight_2 20 weight_3 10 name_1 one name_3 three");
  r_("HSET data_1 age 7 name a");
  r_("HSET data_2 age 9");
  EXPECT_EQ(r_("SORT l BY weight_*"), "[3, 2, 1]");
  EXPECT_EQ(r_("SORT l BY weight_* GET name_* GET #"), "[three, 3, (nil), 2, one, 1]");
  EXPECT_EQ(r_("SORT l BY data_*->age DESC GET data_*->name"), "[(nil), a, (nil)]");
  EXPECT_EQ(r_("SORT l BY nosuch_* GET data_*->"), "[(nil), (nil), (nil)]");
  EXPECT_EQ(r_("SORT_RO l BY weight_* LIMIT 0 1"), "[3]");
}

TEST_F(SortCommands, WhatIsNotSortedKeepsItsOrder) {
  r_("RPUSH l b c a");
  r_("ZADD z 3 x 1 y 2 z");
  EXPECT_EQ(r_("SORT l BY nosort"), "[b, c, a]");
  EXPECT_EQ(r_("SORT l BY nosort DESC LIMIT 1 5"), "[c, b]");
  EXPECT_EQ(r_("SORT z BY nosort"), "[y, z, x]");
  EXPECT_EQ(r_("SORT z BY nosort DESC LIMIT 0 2"), "[x, z]");
  EXPECT_EQ(r_("SORT l ALPHA BY nosuch_*"), "[b, c, a]") << "equal ones keep their order";
  EXPECT_EQ(r_("SORT l ALPHA BY nosuch_* DESC"), "[b, c, a]");
}

TEST_F(SortCommands, ASetThatIsStoredUnsortedIsSorted) {
  r_("SADD s b d a c");
  EXPECT_EQ(r_("SORT s BY nosort STORE l"), "4");
  EXPECT_EQ(r_("LRANGE l 0 -1"), "[a, b, c, d]");
}

TEST_F(SortCommands, StoreReplacesItsSourceOrRemovesTheTarget) {
  r_("RPUSH l 3 1 2");
  EXPECT_EQ(r_("SORT l STORE l"), "3");
  EXPECT_EQ(r_("LRANGE l 0 -1"), "[1, 2, 3]");
  r_("SET t text EX 1000");
  EXPECT_EQ(r_("SORT l GET nosuch_* GET # STORE t"), "6");
  EXPECT_EQ(r_("LRANGE t 0 -1"), "[, 1, , 2, , 3]");
  EXPECT_EQ(r_("TTL t"), "-1");
  EXPECT_EQ(r_("SORT l LIMIT 5 5 STORE t"), "0");
  EXPECT_EQ(r_("EXISTS t"), "0");
  EXPECT_EQ(r_("SORT nosuch STORE l"), "0");
  EXPECT_EQ(r_("EXISTS l"), "0");
}

TEST_F(SortCommands, ElementsKeysAndValuesOfSeveralPieces) {
  const std::string a = std::string(150'000, 'a'), b = std::string(150'000, 'a') + "b", c(70'000, 'c');
  r_.run({"RPUSH", "l", b, c, a});
  EXPECT_EQ(r_("SORT l ALPHA"), "[" + a + ", " + b + ", " + c + "]");
  EXPECT_EQ(r_("SORT l ALPHA DESC STORE t"), "3");
  EXPECT_EQ(r_("LRANGE t 0 -1"), "[" + c + ", " + b + ", " + a + "]");
  r_.run({"SET", "key_" + a, "0" + std::string(300, ' ')});
  r_.run({"SET", "key_" + b, std::string(300, '0') + "1"});
  r_.run({"HSET", "key_" + c, "f", b});
  EXPECT_EQ(r_("SORT l BY key_* GET key_*->f"), "(error) ERR One or more scores can't be converted into double");
  r_.run({"SET", "key_" + a, "0"});
  EXPECT_EQ(r_("SORT l BY key_* GET key_*->f"), "[(nil), " + b + ", (nil)]");
  r_.run({"RPUSH", "huge", std::string(1'000'001, 'x')});
  EXPECT_EQ(r_("SORT huge ALPHA GET key_*"), "[(nil)]") << "no key is that long";
}

TEST_F(SortCommands, MoreThanTheArenaHoldsAlsoInsideExec) {
  std::string sorted;
  for (int i = 0; i < 5000; ++i) {
    r_.run({"RPUSH", "l", std::to_string((i * 7919) % 5000)});
    sorted += (i == 0 ? "" : ", ") + std::to_string(i);
  }
  EXPECT_EQ(r_("SORT l"), "[" + sorted + "]");
  r_("MULTI");
  r_("SET a 1");
  r_("SORT l STORE t");
  r_("SORT l LIMIT 4999 1");
  EXPECT_EQ(r_("EXEC"), "[OK, 5000, [4999]]");
  EXPECT_EQ(r_("LRANGE t 0 -1"), "[" + sorted + "]");
}

TEST_F(SortCommands, AFullSegmentStillSortsAndStoresAllOrNothing) {
  r_.run({"RPUSH", "l", "2", "1"});
  r_.run({"SET", "value", std::string(20'000'000, 'v')});
  EXPECT_EQ(r_("SORT l GET valu* GET value GET # STORE t"), "6");
  r_.run({"RENAME", "value", "value1"});
  r_.run({"COPY", "value1", "value2"});
  EXPECT_EQ(r_("SORT l GET value* STORE t").substr(0, 11), "(error) OOM");
  EXPECT_EQ(r_("LRANGE t 0 -1"), "[, , 1, , , 2]");
  EXPECT_EQ(r_("SORT l"), "[1, 2]");
}

TEST_F(SortCommands, AListThatIsStoredWakesWhoWaits) {
  TestSession waiter(segment_);
  ASSERT_EQ(waiter("BLPOP t 0"), "(pending)");
  r_("RPUSH l 1");
  EXPECT_EQ(r_("SORT l STORE t"), "1");
  EXPECT_EQ(r_("BLPOP t 0.01"), "(pending)") << "it is his who was woken";
  EXPECT_EQ(blocking::resume(waiter.session(), kLockBudgetNs), Outcome::kReplied);
  ReplyReader reader(waiter.session().reply());
  EXPECT_EQ(show(reader), "[t, 1]");
}

TEST_F(SortCommands, OnlySortStores) {
  r_("RPUSH l 2 1");
  r_("SET s x");
  EXPECT_EQ(r_("SORT_RO l STORE t"), "(error) ERR syntax error");
  EXPECT_EQ(r_("SORT l LIMIT 1"), "(error) ERR syntax error");
  EXPECT_EQ(r_("SORT l LIMIT 1 x"), "(error) ERR value is not an integer or out of range");
  EXPECT_EQ(r_("SORT s"), "(error) WRONGTYPE Operation against a key holding the wrong kind of value");
  EXPECT_EQ(r_("SORT nosuch"), "[]");
}

TEST_F(SortCommands, KeysThatAPatternNamesAreReadUnderTheirLocks) {
  r_("RPUSH l 1 2");
  const uint32_t own = keyspace::make_key(segment_.segment(), 0, "l").shard;
  const uint32_t other = (own + 1) % segment_.segment().shard_count();
  const auto process = segment_.attach();
  Transaction holder(*process, *process->context().value());
  ASSERT_TRUE(holder.begin(uint64_t{1} << other, 0).ok());
  const auto outcome = [&](const std::vector<Bytes>& words) { return r_.session().execute(words, 0); };
  EXPECT_EQ(outcome({"SORT", "l"}), Outcome::kReplied);
  EXPECT_EQ(outcome({"SORT", "l", "BY", "nosort", "GET", "#"}), Outcome::kReplied);
  EXPECT_EQ(outcome({"SORT", "l", "BY", "w*"}), Outcome::kBusy);
  EXPECT_EQ(outcome({"SORT_RO", "l", "GET", "w*->f"}), Outcome::kBusy);
}

}  // namespace
}  // namespace shoal
