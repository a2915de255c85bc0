// SPDX-License-Identifier: MIT
// shoald as a program: its life, its rivals, and what it does after the dead.
#include <fcntl.h>

#include <atomic>
#include <fstream>
#include <iterator>

#include "support.h"
#include "transaction/transaction.h"

namespace shoal {
namespace {

TEST_F(DaemonTest, ServesUntilItIsAskedToEnd) {
  Running daemon(command());
  ASSERT_TRUE(eventually([&] { return serves(); }));
  daemon.send(SIGTERM);
  EXPECT_EQ(daemon.wait(), 0);
  EXPECT_FALSE(serves());
  EXPECT_FALSE(std::filesystem::exists(daemon_socket_path(name_)));
}

TEST_F(DaemonTest, SaysAsMuchAsItIsAskedTo) {
  const auto log_of = [this](const std::string& level) {
    const std::string path = "/tmp/" + name_.name() + ".log";
    Running daemon(command({"--log-file", path, "--log-level", level}));
    EXPECT_TRUE(eventually([&] { return serves(); }));
    { const auto client = attach(open_segment()); }
    daemon.send(SIGTERM);
    EXPECT_EQ(daemon.wait(), 0);
    std::ifstream file(path);
    const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    std::filesystem::remove(path);
    return text;
  };
  EXPECT_EQ(log_of("error"), "");
  EXPECT_NE(log_of("info").find("serve"), std::string::npos);
  Running refused(command({"--log-level", "loud"}));
  EXPECT_NE(refused.wait(), 0);
}

TEST_F(DaemonTest, SecondDaemonIsRefused) {
  Running daemon(command());
  ASSERT_TRUE(eventually([&] { return serves(); }));
  Running second(command());
  EXPECT_EQ(second.wait(), 3);
  EXPECT_TRUE(serves());
}

TEST_F(DaemonTest, LinkWhoseNumberADaemonizerGaveToAnotherFileIsLostAndLeavesThatFileOpen) {
  Running daemon(command());
  ASSERT_TRUE(eventually([&] { return serves(); }));
  auto link = DaemonLink::connect(name_);
  ASSERT_TRUE(link.ok());
  EXPECT_FALSE(link.value().lost());
  const int file = ::open("/dev/null", O_RDONLY | O_CLOEXEC), number = link.value().fd();
  ASSERT_EQ(::dup2(file, number), number);  // as after close_range and open
  EXPECT_TRUE(link.value().lost());
  { const DaemonLink dropped = std::move(link).value(); }
  EXPECT_GE(::fcntl(number, F_GETFD), 0);
  ::close(number);
  ::close(file);
}

TEST_F(DaemonTest, KilledDaemonIsNoticedAndFollowed) {
  Running daemon(command());
  ASSERT_TRUE(eventually([&] { return serves(); }));
  auto link = DaemonLink::connect(name_);
  ASSERT_TRUE(link.ok());
  EXPECT_FALSE(link.value().lost());
  daemon.send(SIGKILL);
  EXPECT_EQ(daemon.wait(), 128 + SIGKILL);
  EXPECT_TRUE(eventually([&] { return link.value().lost(); }));
  Running next(command());
  EXPECT_TRUE(eventually([&] { return serves(); }));
  next.send(SIGTERM);
  EXPECT_EQ(next.wait(), 0);
}

TEST_F(DaemonTest, ManyWhoStartADaemonAtOnceGetOne) {
  auto segment = open_segment();
  auto process = attach(segment);
  std::atomic<int> good{0};
  std::vector<std::thread> starters;
  for (int i = 0; i < 8; ++i) {
    starters.emplace_back([&] { good += start_daemon(name_, SHOAL_DAEMON_PROGRAM).ok() ? 1 : 0; });
  }
  for (std::thread& starter : starters) starter.join();
  EXPECT_EQ(good, 8);
  EXPECT_TRUE(serves());
  EXPECT_EQ(slots_in_use(*segment, shm::SlotRole::kDaemon), 1u);
}

TEST_F(DaemonTest, BackgroundDaemonDoesNotMakeASegment) {
  EXPECT_FALSE(start_daemon(name_, SHOAL_DAEMON_PROGRAM).ok());
  EXPECT_FALSE(std::filesystem::exists(name_.shm_path()));
  EXPECT_FALSE(std::filesystem::exists(name_.runtime_dir()));
}

TEST_F(DaemonTest, EndsWhenItsSegmentIsRemoved) {
  Running daemon(command());
  ASSERT_TRUE(eventually([&] { return serves(); }));
  ASSERT_TRUE(Segment::remove(name_).ok());
  EXPECT_EQ(daemon.wait(), 0);
}

TEST_F(DaemonTest, EndsOnlyAfterTheLastOtherProcessLeft) {
  auto segment = open_segment();
  auto process = attach(segment);
  Running daemon(command({"--idle-exit", "1"}));
  ASSERT_TRUE(eventually([&] { return serves(); }));
  const auto start = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() < start + std::chrono::seconds(2)) {
    ASSERT_TRUE(serves());
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  process.reset();
  EXPECT_EQ(daemon.wait(), 0);
}

TEST_F(DaemonTest, SlotOfAKilledProcessBecomesFree) {
  auto segment = open_segment();
  Running daemon(command());
  Running client([&] {
    auto process = attach(segment);
    ::pause();
  });
  ASSERT_TRUE(eventually([&] { return slots_in_use(*segment, shm::SlotRole::kClient) == 1; }));
  client.send(SIGKILL);
  EXPECT_TRUE(eventually([&] { return slots_in_use(*segment, shm::SlotRole::kClient) == 0; }));
}

TEST_F(DaemonTest, LockOfAKilledHolderFallsFreeWithoutAnybodyWantingIt) {
  auto segment = open_segment();
  Running daemon(command());
  Running holder([&] {
    auto process = attach(segment);
    Transaction tx(*process, *process->context().value());
    if (tx.begin(0b10, kLockBudgetNs).ok()) ::raise(SIGKILL);
  });
  EXPECT_EQ(holder.wait(), 128 + SIGKILL);
  EXPECT_TRUE(eventually([&] { return segment->shard(1).owner.load() == 0; }));
}

TEST_F(DaemonTest, MemoryIsPhysicalBeforeItIsNeeded) {
  auto segment = open_segment();
  auto process = attach(segment);
  const uint64_t before = segment->committed();
  Transaction tx(*process, *process->context().value());
  ASSERT_TRUE(tx.begin(1, kLockBudgetNs).ok());
  while (tx.create<std::byte>(64 * kKiB) != nullptr) {
  }
  tx.rollback();
  ASSERT_TRUE(tx.begin(1, kLockBudgetNs).ok());
  for (int i = 0; i < 8; ++i) ASSERT_NE(tx.create<std::byte>(64 * kKiB), nullptr);
  ASSERT_TRUE(tx.commit().ok());
  EXPECT_EQ(segment->committed(), before);
  Running daemon(command());
  EXPECT_TRUE(eventually([&] { return segment->committed() > before; }));
}

}  // namespace
}  // namespace shoal
