// SPDX-License-Identifier: MIT
// What docs/COMMANDS.md says of the differences from Redis. A test that fails here means that the text is wrong now.
#include "commands/command.h"
#include "support/redis_session.h"

namespace shoal {
namespace {

class Differences : public ::testing::Test {
 protected:
  TestSegment segment_;
  TestSession r_{segment_};
};

TEST_F(Differences, CommandsThatAreNotThereAreUnknown) {
  for (const char* name :
       {"EVAL",       "EVALSHA", "FUNCTION", "FCALL",     "SCRIPT",      "XADD",           "XREAD",      "GEOADD",
        "PFADD",      "LCS",     "DUMP",     "RESTORE",   "SWAPDB",      "SPUBLISH",       "SSUBSCRIBE", "SUBSCRIBE",
        "PSUBSCRIBE", "ACL",     "CLUSTER",  "REPLICAOF", "MODULE",      "MONITOR",        "SLOWLOG",    "LATENCY",
        "DEBUG",      "SAVE",    "BGSAVE",   "SHUTDOWN",  "CLIENT|KILL", "CLIENT|TRACKING"}) {
    EXPECT_EQ(find_command(name), nullptr) << name;
  }
}

TEST_F(Differences, FullSegmentAnswersOomAndChangesNothing) {
  const std::string half(40'000'000, 'v');
  EXPECT_EQ(r_.run({"SET", "a", half}), "OK");
  EXPECT_EQ(r_.run({"SET", "b", half}).substr(0, 11), "(error) OOM");
  EXPECT_EQ(r_("EXISTS a b"), "1");
  EXPECT_EQ(r_("STRLEN a"), "40000000");
}

TEST_F(Differences, ChannelNamesAreLimited) {
  EXPECT_EQ(r_.run({"PUBLISH", std::string(65'535, 'c'), "x"}).substr(0, 7), "0");
  EXPECT_EQ(r_.run({"PUBLISH", std::string(65'536, 'c'), "x"}).substr(0, 7), "(error)");
}

TEST_F(Differences, OnlySoManyKeysCanBeCombined) {
  r_("SADD s m");
  r_("ZADD z 1 m");
  const auto combined = [&](std::vector<std::string> words, const char* key, size_t keys, const char* last = nullptr) {
    words.insert(words.end(), keys, key);
    if (last != nullptr) words.push_back(last);
    return r_.run(words);
  };
  EXPECT_EQ(combined({"SINTER"}, "s", 32'000), "<m>");
  EXPECT_EQ(combined({"SINTERSTORE", "to"}, "s", 32'000), "1");
  EXPECT_EQ(combined({"ZINTER", "32000"}, "z", 32'000), "[m]");
  for (const std::string& refused :
       {combined({"SINTER"}, "s", 32'001), combined({"SUNIONSTORE", "s"}, "s", 32'001),
        combined({"ZUNION", "32001"}, "z", 32'001), combined({"ZUNIONSTORE", "z", "32001"}, "z", 32'001),
        combined({"BLPOP"}, "l", 32'001, "0")}) {
    EXPECT_EQ(refused, "(error) ERR too many keys in one command: it takes at most 32000");
  }
  r_("RPUSH l 1");
  EXPECT_EQ(combined({"BLPOP"}, "l", 40'000, "0"), "[l, 1]");
  EXPECT_EQ(r_("EXISTS s z to l"), "3");
}

TEST_F(Differences, AScoreOfMinusZeroIsZero) {
  r_.run({"ZADD", "z", "-0", std::string(100, 'm')});
  EXPECT_EQ(r_.run({"ZSCORE", "z", std::string(100, 'm')}), "0");
}

TEST_F(Differences, TheLowestRankIsAnError) {
  r_("RPUSH l a b a");
  EXPECT_EQ(r_("LPOS l a RANK -9223372036854775807"), "(nil)");
  EXPECT_EQ(r_("LPOS l a RANK -9223372036854775808").substr(0, 11), "(error) ERR");
}

TEST_F(Differences, UnlinkAndFlushWithAnyWordDoTheSame) {
  for (const char* line : {"DEL a", "UNLINK a", "FLUSHDB SYNC", "FLUSHDB ASYNC", "FLUSHALL SYNC", "FLUSHALL ASYNC"}) {
    r_.run({"SET", "a", std::string(1'000'000, 'v')});
    r_(line);
    EXPECT_EQ(r_("EXISTS a"), "0") << line;
    EXPECT_EQ(r_("DBSIZE"), "0") << line;
  }
}

TEST_F(Differences, WhatIsAboutAServerIsAnsweredAsSaid) {
  EXPECT_EQ(r_("AUTH secret").substr(0, 16), "(error) ERR AUTH");
  EXPECT_EQ(r_("WAIT 3 0"), "0");
  r_("SET a 1");
  EXPECT_EQ(r_("TOUCH a b"), "1");
  const std::string info = r_("INFO");
  for (const char* section : {"# Server", "# Clients", "# Memory", "# Keyspace", "redis_version:7.0"})
    EXPECT_NE(info.find(section), std::string::npos) << section;
}

TEST_F(Differences, NoUseOfAKeyIsTracked) {
  EXPECT_EQ(r_("OBJECT IDLETIME a"), "(nil)");
  EXPECT_EQ(r_("OBJECT FREQ a"), "(nil)");
  EXPECT_EQ(r_("OBJECT REFCOUNT a"), "(nil)");
  r_("SET a 1");
  EXPECT_EQ(r_("OBJECT IDLETIME a"), "(error) ERR idle time not tracked: there is no clock of last use");
  EXPECT_EQ(r_("OBJECT FREQ a").substr(0, 55), "(error) ERR An LFU maxmemory policy is not selected, ac");
  EXPECT_EQ(r_("OBJECT REFCOUNT a"), "1");
}

TEST_F(Differences, AnEncodingIsThatOfAValueThatHasJustBeenSet) {
  EXPECT_EQ(r_("OBJECT ENCODING a"), "(nil)");
  r_("SET a 12");
  EXPECT_EQ(r_("OBJECT ENCODING a"), "int");
  r_("SET a 9223372036854775808");
  EXPECT_EQ(r_("OBJECT ENCODING a"), "embstr") << "one more than an integer can be";
  r_("SET a " + std::string(44, 'x'));
  EXPECT_EQ(r_("OBJECT ENCODING a"), "embstr");
  r_("APPEND a x");
  EXPECT_EQ(r_("OBJECT ENCODING a"), "raw");
  r_("SET a x");
  r_("APPEND a y");
  EXPECT_EQ(r_("OBJECT ENCODING a"), "embstr") << "Redis says raw";
  r_("SET a " + std::string(9000, 'x'));
  EXPECT_EQ(r_("OBJECT ENCODING a"), "raw");
}

TEST_F(Differences, MemoryUsageCountsTheBlocksOfTheValue) {
  EXPECT_EQ(r_("MEMORY USAGE a"), "(nil)");
  r_("SET a 1");
  EXPECT_EQ(r_("MEMORY USAGE a"), "32");
  r_.run({"SET", "a", std::string(1'000'000, 'v')});
  EXPECT_GE(std::stoul(r_("MEMORY USAGE a")), 1'000'000u);
  EXPECT_LT(std::stoul(r_("MEMORY USAGE a")), 1'100'000u);
}

}  // namespace
}  // namespace shoal
