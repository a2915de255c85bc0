// SPDX-License-Identifier: MIT
// CONFIG ...: what is so is told and accepted, and nothing else is.
#include "support/redis_session.h"

namespace shoal {
namespace {

class ConfigCommands : public ::testing::Test {
 protected:
  std::string refused(const std::string& name, const std::string& why) {
    return "(error) ERR CONFIG SET failed (possibly related to argument '" + name + "') - " + why;
  }
  std::string immutable(const std::string& name) { return refused(name, "can't set immutable config"); }
  TestSegment segment_;
  TestSession r_{segment_};
};

TEST_F(ConfigCommands, GetTellsWhatIsSoOfThisSegment) {
  EXPECT_EQ(r_("CONFIG GET maxmemory"), "{maxmemory: 67108864}");
  EXPECT_EQ(r_("CONFIG GET max*"), "{maxclients: 16, maxmemory: 67108864, maxmemory-policy: noeviction}");
  EXPECT_EQ(r_("CONFIG GET databases SAVE"), "{databases: 16, SAVE: }");
  EXPECT_EQ(r_("CONFIG GET TIME* timeout timeout"), "{timeout: 0}");
  EXPECT_EQ(r_("CONFIG GET hz"), "{}");
}

TEST_F(ConfigCommands, SetAcceptsWhateverGetTells) {
  for (const char* name :
       {"appendonly", "databases", "maxclients", "maxmemory", "maxmemory-policy", "notify-keyspace-events",
        "proto-max-bulk-len", "requirepass", "save", "stop-writes-on-bgsave-error", "timeout"}) {
    const std::string told = r_(std::string("CONFIG GET ") + name);
    const size_t value = told.find(": ") + 2;
    EXPECT_EQ(r_.run({"CONFIG", "SET", name, told.substr(value, told.size() - value - 1)}), "OK") << told;
  }
}

TEST_F(ConfigCommands, SetAcceptsTheSameInOtherWriting) {
  for (const char* line :
       {"CONFIG SET maxmemory 64mb", "CONFIG SET MAXMEMORY 65536KB", "CONFIG SET maxmemory 67108864b",
        "CONFIG SET maxmemory-policy NoEviction", "CONFIG SET appendonly NO", "CONFIG SET proto-max-bulk-len 512mb",
        "CONFIG SET save '' timeout 0 appendonly no"})
    EXPECT_EQ(r_(line), "OK") << line;
}

TEST_F(ConfigCommands, SetRefusesWhatWouldNotHold) {
  EXPECT_EQ(r_("CONFIG SET maxmemory 0"), immutable("maxmemory"));
  EXPECT_EQ(r_("CONFIG SET maxmemory 64m"), immutable("maxmemory"));
  EXPECT_EQ(r_("CONFIG SET MaxMemory-Policy allkeys-lru"), immutable("maxmemory-policy"));
  EXPECT_EQ(r_("CONFIG SET notify-keyspace-events KEA"), immutable("notify-keyspace-events"));
  EXPECT_EQ(r_("CONFIG SET timeout 300"), immutable("timeout"));
  EXPECT_EQ(r_.run({"CONFIG", "SET", "save", "3600 1 300 100"}), immutable("save"));
  EXPECT_EQ(r_("CONFIG SET appendonly yes"), immutable("appendonly"));
  EXPECT_EQ(r_("CONFIG SET requirepass secret"), immutable("requirepass"));
  EXPECT_EQ(r_("CONFIG SET stop-writes-on-bgsave-error yes"), immutable("stop-writes-on-bgsave-error"));
  EXPECT_EQ(r_("CONFIG SET databases 32"), immutable("databases"));
  EXPECT_EQ(r_("CONFIG SET timeout 0 maxclients 17"), immutable("maxclients"));
}

TEST_F(ConfigCommands, SetRefusesWhatRedisCannotReadInItsWords) {
  EXPECT_EQ(r_("CONFIG SET maxmemory 1.5gb"), refused("maxmemory", "argument must be a memory value"));
  EXPECT_EQ(r_("CONFIG SET timeout 00"), refused("timeout", "argument couldn't be parsed into an integer"));
  EXPECT_EQ(r_("CONFIG SET maxclients 0"),
            refused("maxclients", "argument must be between 1 and 4294967295 inclusive"));
  EXPECT_EQ(r_("CONFIG SET proto-max-bulk-len 1"),
            refused("proto-max-bulk-len", "argument must be between 1048576 and 9223372036854775807 inclusive"));
  EXPECT_EQ(r_("CONFIG SET save 60"), refused("save", "Invalid save parameters"));
  EXPECT_EQ(r_("CONFIG SET hz 10"), "(error) ERR Unknown option or number of arguments for CONFIG SET - 'hz'");
  EXPECT_EQ(r_("CONFIG SET timeout x hz 10"),
            "(error) ERR Unknown option or number of arguments for CONFIG SET - 'hz'");
  EXPECT_EQ(r_("CONFIG SET timeout 0 TIMEOUT 0"), refused("TIMEOUT", "duplicate parameter"));
  EXPECT_EQ(r_("CONFIG SET timeout 0 save"), "(error) ERR syntax error");
}

TEST_F(ConfigCommands, ThereAreNoCountersToResetAndNoFileToRewrite) {
  EXPECT_EQ(r_("CONFIG RESETSTAT"), "OK");
  EXPECT_EQ(r_("CONFIG REWRITE"), "(error) ERR The server is running without a config file");
}

}  // namespace
}  // namespace shoal
