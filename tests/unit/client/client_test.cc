// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>
#include <shoal/shoal.h>
#include <unistd.h>

#include "client/url.h"
#include "segment/segment.h"
#include "support/fresh_name.h"

namespace shoal {
namespace {

class ClientTest : public ::testing::Test {
 protected:
  std::string name_ = fresh_name("client_test").name();
  std::string url_ = "shoal://" + name_ + "/2?max_size=16MiB&shards=4&contexts=64&slots=8&daemon=no";
  ~ClientTest() override { leave_nothing_of(SegmentName::parse(name_).value()); }
};

TEST_F(ClientTest, TypedCallsAndCommandsSeeTheSameKeys) {
  auto connected = Client::connect(url_);
  ASSERT_TRUE(connected.ok()) << describe(connected.status());
  Client& r = connected.value();
  EXPECT_EQ(r.get("a").value(), std::nullopt);
  ASSERT_TRUE(r.set("a", "1").ok());
  EXPECT_EQ(r.get("a").value(), "1");
  EXPECT_EQ(r.incr_by("a", 41).value(), 42);
  EXPECT_EQ(r.command({"GET", "a"}).value().text, "42");
  EXPECT_EQ(r.command({"DBSIZE"}).value().integer, 1);
  EXPECT_EQ(r.transaction({{"SET", "b", "x"}, {"GET", "b"}}).value().items[1].text, "x");
  EXPECT_EQ(r.del("a").value(), 1);
}

TEST_F(ClientTest, CommandErrorsKeepRedissText) {
  auto connected = Client::connect(url_);
  ASSERT_TRUE(connected.ok());
  ASSERT_TRUE(connected.value().set("a", "text").ok());
  EXPECT_EQ(connected.value().incr_by("a").status().code(), Code::kRedisError);
  EXPECT_EQ(connected.value().error_text(), "ERR value is not an integer or out of range");
}

TEST_F(ClientTest, ASubscriptionJoinsHistoryAndLiveAndTellsWhatIsGone) {
  auto connected = Client::connect(url_);
  ASSERT_TRUE(connected.ok());
  Client& r = connected.value();
  ASSERT_TRUE(r.keep("news", 3).ok());
  for (const char* data : {"one", "two", "three", "four"}) ASSERT_TRUE(r.publish("news", data).ok());
  auto subscribed = r.subscribe("news", {.last = 2});
  ASSERT_TRUE(subscribed.ok()) << describe(subscribed.status());
  EXPECT_EQ(r.publish("news", "five").value(), 1);
  auto next = [](Subscription& from) { return from.next(1000).value().value_or(Message{}); };
  EXPECT_EQ(next(subscribed.value()).data, "three");
  const Message four = next(subscribed.value());
  EXPECT_EQ(four.data, "four");
  EXPECT_EQ(next(subscribed.value()).data, "five");
  EXPECT_FALSE(subscribed.value().next(0).value().has_value());

  auto resumed = r.subscribe("news", {.since = four.position});
  ASSERT_TRUE(resumed.ok());
  EXPECT_EQ(next(resumed.value()).data, "five");
  auto elsewhere = r.subscribe("news", {.since = Position{four.position.incarnation + 1, 1}});
  ASSERT_TRUE(elsewhere.ok());
  const Message gap = next(elsewhere.value());
  EXPECT_TRUE(gap.gap);
  EXPECT_EQ(gap.missed, std::nullopt);
}

TEST(ClientUrl, PartsAreReadAndBadOnesNamed) {
  auto url = Url::parse("shoal:///App/3?max_size=2g&shards=8");
  ASSERT_TRUE(url.ok()) << describe(url.status());
  EXPECT_EQ(url.value().name, "App");
  EXPECT_EQ(url.value().database, 3u);
  EXPECT_EQ(url.value().options.max_size, 2 * kGiB);
  for (const char* bad :
       {"redis://x", "shoal://", "shoal://a/16", "shoal://a?x=1", "shoal://a?max_size=lots", "shoal://a/b"}) {
    EXPECT_EQ(Url::parse(bad).status().code(), Code::kInvalidArgument) << bad;
  }
}

}  // namespace
}  // namespace shoal
