// SPDX-License-Identifier: MIT
// Keys, fields and members from one byte to the most that one may have, and one more.
#include "commands/check.h"
#include "support/redis_session.h"

namespace shoal {
namespace {

class LongNames : public ::testing::TestWithParam<size_t> {
 protected:
  ~LongNames() override {
    const CheckReport report = check(segment_.segment());
    for (const Finding& finding : report.findings) ADD_FAILURE() << describe(finding);
  }
  // A name of `bytes` bytes that ends with `last`.
  static std::string name(size_t bytes, char last = 'x') {
    std::string text(bytes, 'n');
    text.back() = last;
    return text;
  }

  TestSegment segment_;
  TestSession r_{segment_};
};

TEST_P(LongNames, KeyIsAKeyLikeAnyOther) {
  const std::string a = name(GetParam(), 'a'), b = name(GetParam(), 'b');
  EXPECT_EQ(r_.run({"SET", a, "1"}), "OK");
  EXPECT_EQ(r_.run({"SET", b, "2", "PX", "10000000"}), "OK");
  EXPECT_EQ(r_.run({"GET", a}), "1");
  EXPECT_EQ(r_.run({"GET", b}), "2");
  EXPECT_EQ(r_.run({"EXPIRE", a, "1000"}), "1");  // moves the entry
  EXPECT_EQ(r_.run({"APPEND", a, std::string(3000, 'v')}), "3001");
  EXPECT_EQ(r_.run({"STRLEN", a}), "3001");
  EXPECT_EQ(r_.run({"TTL", a}), "1000");
  EXPECT_EQ(r_.run({"RENAME", a, "short"}), "OK");
  EXPECT_EQ(r_.run({"EXISTS", a, b, "short"}), "2");
  EXPECT_EQ(r_.run({"RENAME", "short", a}), "OK");
  EXPECT_EQ(r_.run({"RPUSH", b + "l", "1"}).substr(0, 1), GetParam() < kNameBytesMax ? "1" : "(");
  EXPECT_EQ(r_.run({"DEL", a, b}), "2");
  EXPECT_EQ(r_.run({"GET", a}), "(nil)");
}

TEST_P(LongNames, KeyOfAnotherLengthIsAnotherKey) {
  for (size_t bytes : {GetParam(), GetParam() - 1, GetParam() % 65536, size_t{65535}}) {
    if (bytes > 0) r_.run({"SET", name(bytes), std::to_string(bytes)});
  }
  EXPECT_EQ(r_.run({"GET", name(GetParam())}), std::to_string(GetParam()));
  EXPECT_EQ(r_.run({"GET", name(GetParam() - 1)}), std::to_string(GetParam() - 1));
  EXPECT_EQ(r_.run({"GET", name(65535)}), "65535");
}

TEST_P(LongNames, WaiterOfAKeyIsServed) {
  const std::string key = name(GetParam());
  TestSession other(segment_);
  EXPECT_EQ(r_.run({"BLPOP", key, "0"}), "(pending)");
  EXPECT_EQ(other.run({"RPUSH", key, "1"}), "1");
  EXPECT_EQ(blocking::resume(r_.session(), kLockBudgetNs), Outcome::kReplied);
  EXPECT_EQ(other.run({"EXISTS", key}), "0");
}

TEST_P(LongNames, FieldAndMemberAreLikeAnyOther) {
  const std::string long_name = name(GetParam());
  EXPECT_EQ(r_.run({"HSET", "h", long_name, "1"}), "1");
  EXPECT_EQ(r_.run({"HINCRBY", "h", long_name, "1"}), "2");
  EXPECT_EQ(r_.run({"SADD", "s", long_name, "m"}), "2");
  EXPECT_EQ(r_.run({"SISMEMBER", "s", long_name}), "1");
  EXPECT_EQ(r_.run({"ZADD", "z", "1", long_name}), "1");
  EXPECT_EQ(r_.run({"ZSCORE", "z", long_name}), "1");
}

INSTANTIATE_TEST_SUITE_P(Bytes, LongNames,
                         ::testing::Values(1000, kShortKeyBytesMax - 1, kShortKeyBytesMax, kShortKeyBytesMax + 1, 65536,
                                           65537, 131072, 500'000, kNameBytesMax));

TEST_F(LongNames, LongerOnesAreRefusedAndSayTheLimit) {
  const std::string key = name(kNameBytesMax + 1);
  const char* const too_long = "(error) ERR the key is longer than 1000000 bytes, the most that Shoal takes";
  EXPECT_EQ(r_.run({"SET", key, "1"}), too_long);
  EXPECT_EQ(r_.run({"GET", key}), too_long);
  EXPECT_EQ(r_.run({"MSET", "a", "1", key, "1"}), too_long);
  EXPECT_EQ(r_("EXISTS a"), "0");
  const char* const long_member = "(error) ERR a member or field may have at most 1000000 bytes";
  EXPECT_EQ(r_.run({"HSET", "h", "f", "1", key, "1"}), long_member);
  EXPECT_EQ(r_.run({"SADD", "s", key}), long_member);
  EXPECT_EQ(r_.run({"ZADD", "z", "1", key}), long_member);
  EXPECT_EQ(r_("EXISTS h s z"), "0");
}

TEST_F(LongNames, ValuesAndElementsAreLimitedByTheSegmentOnly) {
  const std::string value(3'000'000, 'v');
  EXPECT_EQ(r_.run({"SET", "a", value}), "OK");
  EXPECT_EQ(r_.run({"RPUSH", "l", value}), "1");
  EXPECT_EQ(r_.run({"HSET", "h", "f", value}), "1");
  EXPECT_EQ(r_("GET a"), value);
  EXPECT_EQ(r_("LINDEX l 0"), value);
  EXPECT_EQ(r_("HGET h f"), value);
}

}  // namespace
}  // namespace shoal
