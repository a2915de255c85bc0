// SPDX-License-Identifier: MIT
// Bits of strings of several pieces; what is small is compared with Redis by tests/compat.
#include "commands/check.h"
#include "support/redis_session.h"

namespace shoal {
namespace {

class BitmapCommands : public ::testing::Test {
 protected:
  ~BitmapCommands() override {
    for (const Finding& finding : check(segment_.segment()).findings) ADD_FAILURE() << describe(finding);
  }
  TestSegment segment_;
  TestSession r_{segment_};
};

TEST_F(BitmapCommands, BitBehindAllPiecesMakesTheStringThatLong) {
  EXPECT_EQ(r_("SETBIT a 2000000 1"), "0");
  EXPECT_EQ(r_("STRLEN a"), "250001");
  EXPECT_EQ(r_("GETBIT a 2000000"), "1");
  EXPECT_EQ(r_("BITCOUNT a"), "1");
  EXPECT_EQ(r_("BITPOS a 1"), "2000000");
  EXPECT_EQ(r_("SETBIT a 2000000 0"), "1");
  EXPECT_EQ(r_("BITPOS a 1"), "-1");
}

TEST_F(BitmapCommands, BitOpReadsSourcesOfDifferentLengthsAndItsOwnTarget) {
  const std::string a(150'000, '\x0f'), b(70'000, '\x3c');
  r_.run({"SET", "a", a});
  r_.run({"SET", "b", b});
  EXPECT_EQ(r_("BITOP XOR a a b"), "150000");
  EXPECT_EQ(r_("GETRANGE a 69999 70000"), "\x33\x0f");
  EXPECT_EQ(r_("BITCOUNT a"), std::to_string(150'000 * 4));
  EXPECT_EQ(r_("BITOP AND a a b nosuch"), "150000");
  EXPECT_EQ(r_("BITCOUNT a"), "0");
  EXPECT_EQ(r_("BITOP NOT c b"), "70000");
  EXPECT_EQ(r_("GETRANGE c 0 0"), "\xc3");
}

TEST_F(BitmapCommands, FieldMayLieAcrossTwoPieces) {
  const std::string at = std::to_string((65'520 - 3) * 8 + 5);
  EXPECT_EQ(r_("BITFIELD a SET i64 " + at + " -2 GET i64 " + at + " INCRBY i64 " + at + " 5"), "[0, -2, 3]");
  EXPECT_EQ(r_("BITFIELD_RO a GET u63 " + at), "[1]");
}

TEST_F(BitmapCommands, SetRangeKeepsWhatLiesAround) {
  std::string text(200'000, 'a');
  r_.run({"SET", "a", text, "PX", "10000000"});
  EXPECT_EQ(r_("SETRANGE a 65518 hello"), "200000");
  text.replace(65'518, 5, "hello");
  EXPECT_EQ(r_("GET a"), text);
  EXPECT_EQ(r_("SETRANGE a 300000 x"), "300001");
  EXPECT_EQ(r_("GET a"), text + std::string(100'000, '\0') + "x");
  EXPECT_NE(r_("PTTL a"), "-1");
}

TEST_F(BitmapCommands, CopyHasBlocksOfItsOwn) {
  const std::string blob(150'000, 'v');
  r_.run({"SET", "string", blob});
  r_.run({"RPUSH", "list", "1", blob, "3"});
  r_.run({"HSET", "hash", "f", blob, "g", "2"});
  r_.run({"SADD", "set", "a", "b"});
  r_.run({"ZADD", "zset", "1", "a", "2", "b"});
  for (const char* name : {"string", "list", "hash", "set", "zset"}) {
    EXPECT_EQ(r_(std::string("COPY ") + name + " copy-" + name), "1");
    EXPECT_EQ(r_(std::string("COPY ") + name + " " + name + " DB 3"), "1");
    EXPECT_EQ(r_(std::string("DEL ") + name), "1");
  }
  r_("SET x 1");  // frees some of them
  EXPECT_EQ(r_("GET copy-string"), blob);
  EXPECT_EQ(r_("LRANGE copy-list 0 -1"), "[1, " + blob + ", 3]");
  EXPECT_EQ(r_("HGET copy-hash f"), blob);
  EXPECT_EQ(r_("SCARD copy-set"), "2");
  EXPECT_EQ(r_("ZRANGE copy-zset 0 -1"), "[a, b]");
}

}  // namespace
}  // namespace shoal
