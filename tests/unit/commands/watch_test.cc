// SPDX-License-Identifier: MIT
// What a WATCH sees: that its key changed, came or went, and nothing else, whoever cleans up.
#include "base/clock.h"
#include "support/redis_session.h"

namespace shoal {
namespace {

class Watch : public ::testing::Test {
 protected:
  ~Watch() override { set_wall_clock_offset_ms(0); }

  // WATCHes the key, lets another session do what stands in `meanwhile` (separated by ';'), and says whether EXEC ran.
  bool survives(const std::string& key, const std::string& meanwhile) {
    r_("WATCH " + key);
    for (size_t at = 0; at < meanwhile.size();) {
      const size_t end = std::min(meanwhile.find(';', at), meanwhile.size());
      other_(meanwhile.substr(at, end - at));
      at = end + 1;
    }
    r_("MULTI");
    r_("PING");
    return r_("EXEC") == "[PONG]";
  }
  // A key whose hash has the same word in Shard::created as another's, found by trial.
  std::string like(const std::string& key) {
    const auto place = [&](const std::string& name) {
      const Key k = keyspace::make_key(segment_.segment(), 0, name);
      return std::pair(k.shard, (k.hash >> 8) % shm::kCreatedCount);
    };
    for (int i = 0;; ++i) {
      const std::string name = "like-" + std::to_string(i);
      if (place(name) == place(key)) return name;
    }
  }

  TestSegment segment_;
  TestSession r_{segment_}, other_{segment_};
};

TEST_F(Watch, KeyThatIsMissingBeforeAndAfterAFlushIsUnchanged) {
  for (int i = 0; i < 200; ++i) r_("SET k" + std::to_string(i) + " v");
  EXPECT_TRUE(survives("missing", "FLUSHDB"));
  r_("SET a 1");
  EXPECT_TRUE(survives("missing", "FLUSHALL"));
  r_("SET a 1");
  other_("SELECT 3");
  other_("SET b 1");  // so that the dict of a shard is not buried as a whole
  other_("SELECT 0");
  EXPECT_TRUE(survives("missing", "FLUSHDB"));
}

TEST_F(Watch, KeyThatAFlushRemovesIsChanged) {
  r_("SET a 1");
  EXPECT_FALSE(survives("a", "FLUSHDB"));
  r_("SET a 1");
  EXPECT_FALSE(survives("a", "FLUSHALL"));
  r_("SET a 1");
  EXPECT_FALSE(survives("a", "FLUSHDB;SET a 1"));
}

TEST_F(Watch, MissingKeyThatCameAndWentIsChanged) {
  EXPECT_FALSE(survives("a", "SET a 1;DEL a"));
  EXPECT_FALSE(survives("a", "SET a 1;FLUSHDB"));
  EXPECT_FALSE(survives("a", "MULTI;SET a 1;DEL a;EXEC"));
  r_("SET b 1");
  EXPECT_FALSE(survives("a", "RENAME b a;RENAME a b"));
}

TEST_F(Watch, RemovalOfAnotherKeyOfItsHashChangesNothing) {
  r_("SET " + like("a") + " 1");
  EXPECT_TRUE(survives("a", "DEL " + like("a")));
}

// Written with its neighbour in one transaction, it has the neighbour's version: missing is still another state.
TEST_F(Watch, RemovedKeyIsChangedWhoeverSharesItsVersion) {
  const std::string neighbour = like("a");
  r_("SET a 1");
  for (const std::string& line :
       {std::string("MULTI"), std::string("INCR a"), "SET " + neighbour + " 1", std::string("EXEC")})
    r_(line);
  EXPECT_FALSE(survives("a", "DEL a"));
}

TEST_F(Watch, ExpiryIsAChangeOnceAndItsTidyingIsNone) {
  r_("SET a 1 PX 1000");
  r_("WATCH a");
  set_wall_clock_offset_ms(5000);
  r_("MULTI");
  EXPECT_EQ(r_("EXEC"), "(nil array)");
  EXPECT_TRUE(survives("a", "DEL a"));  // it had expired: whoever removes it changes nothing
  r_("SET a 1 PX 1000");
  set_wall_clock_offset_ms(10000);
  EXPECT_TRUE(survives("a", "FLUSHDB"));
  r_("SET a 1 PX 1000");
  set_wall_clock_offset_ms(20000);
  EXPECT_FALSE(survives("a", "SET a 2"));
}

// As in Redis, where APPEND says so without a look at the length and SETRANGE looks first.
TEST_F(Watch, AppendingNothingIsAChangeAndSettingAnEmptyRangeIsNone) {
  for (const size_t size : {size_t{0}, size_t{5}, size_t{3000}}) {
    r_.run({"SET", "a", std::string(size, 'v')});
    EXPECT_FALSE(survives("a", "APPEND a ''")) << size;
    EXPECT_EQ(r_("STRLEN a"), std::to_string(size));
    EXPECT_TRUE(survives("a", "SETRANGE a 0 ''")) << size;
  }
}

// Redis creates the key and tells nobody.
TEST_F(Watch, KeyThatABitfieldCreatesIsChangedThoughItsWriteFails) {
  EXPECT_FALSE(survives("a", "BITFIELD a OVERFLOW FAIL SET u32 8 -2"));
  EXPECT_EQ(r_("STRLEN a"), "5");
}

}  // namespace
}  // namespace shoal
