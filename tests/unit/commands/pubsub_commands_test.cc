// SPDX-License-Identifier: MIT
// What a session's PUBLISH does; subscribing is not a command of a session.
#include "channels/subscriber.h"
#include "support/redis_session.h"

namespace shoal {
namespace {

class PubsubCommands : public ::testing::Test {
 protected:
  void subscribe(shm::ChannelKind kind, const char* name) {
    bool fresh = false;
    ASSERT_TRUE(subscriber_.subscribe(kind, name, {}, kLockBudgetNs, fresh).ok());
  }
  std::string read() {
    std::string all;
    size_t given = 0;
    const auto sink = [](void* with, const channels::Delivery& delivery) {
      *static_cast<std::string*>(with) += std::string(delivery.channel) + ":" + std::string(delivery.data) + " ";
    };
    do {
      EXPECT_TRUE(subscriber_.read(100, sink, &all, given).ok());
    } while (given > 0);
    return all;
  }

  TestSegment segment_;
  TestSession r{segment_};
  channels::Subscriber subscriber_{segment_.process()};
};

TEST_F(PubsubCommands, PublishInExecLeavesWithItAndCountsLikeOneOutside) {
  subscribe(shm::ChannelKind::kChannel, "room");
  subscribe(shm::ChannelKind::kPattern, "r*");
  EXPECT_EQ(r("PUBLISH room one"), "2");
  r("MULTI");
  r("PUBLISH room two");
  r("SET a 1");
  r("PUBLISH nobody x");
  EXPECT_EQ(read(), "room:one room:one ");
  EXPECT_EQ(r("EXEC"), "[2, OK, 0]");
  EXPECT_EQ(read(), "room:two room:two ");
}

TEST_F(PubsubCommands, ExecWhoseMessageFindsNoRoomChangesNothing) {
  subscribe(shm::ChannelKind::kChannel, "room");
  for (const char* length : {"900000", "60000", "3000", "1000", "100"}) {
    for (int i = 0;; ++i) {
      const std::string value(std::stoul(length), 'x');
      if (r.run({"SET", "fill" + std::string(length) + "-" + std::to_string(i), value}) != "OK") break;
    }
  }
  r("MULTI");
  r("DEL nothing");
  r("SET a 1");
  r("PUBLISH room one");
  EXPECT_EQ(r("EXEC").substr(0, 11), "(error) OOM");
  EXPECT_EQ(r("GET a"), "(nil)");
  EXPECT_EQ(read(), "");
}

}  // namespace
}  // namespace shoal
