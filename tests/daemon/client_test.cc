// SPDX-License-Identifier: MIT
// The first client starts the daemon of its segment, if it may.
#include <shoal/shoal.h>

#include <cstdlib>

#include "support.h"

namespace shoal {
namespace {

class ClientsDaemon : public DaemonTest {
 protected:
  void SetUp() override {
    DaemonTest::SetUp();
    ::setenv("SHOAL_DAEMON", SHOAL_DAEMON_PROGRAM, 1);
  }
  void TearDown() override {
    ::unsetenv("SHOAL_DAEMON");
    DaemonTest::TearDown();
    EXPECT_TRUE(eventually([&] { return !serves(); })) << "it ends with its segment";
  }
  bool served(const std::string& option) {
    auto client = Client::connect("shoal://" + name_.name() + "?max_size=8MiB&shards=4&contexts=24&slots=6" + option);
    EXPECT_TRUE(client.ok() && client.value().set("a", "1").ok());
    return serves();
  }
};

TEST_F(ClientsDaemon, IsStartedByTheFirstClient) { EXPECT_TRUE(served("")); }

TEST_F(ClientsDaemon, IsNotStartedByWhoSaysSo) { EXPECT_FALSE(served("&daemon=no")); }

TEST_F(ClientsDaemon, IsMissedByNoClient) {
  ::setenv("SHOAL_DAEMON", "/nonexistent/shoald", 1);
  EXPECT_FALSE(served(""));
}

}  // namespace
}  // namespace shoal
