// SPDX-License-Identifier: MIT
// shoald as a program: its life, its rivals, and what it does after the dead.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "channels/subscriber.h"
#include "queues/consumer.h"
#include "queues/directory.h"
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

TEST_F(DaemonTest, WhoIsToServeWhileAnotherIsOnItsWayOutFollowsIt) {
  auto segment = open_segment();
  ASSERT_TRUE(name_.make_runtime_dir().ok());
  const int lock = ::open((name_.runtime_dir() + "/daemon.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  ASSERT_EQ(::flock(lock, LOCK_EX), 0);
  std::thread ends([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));  // long enough to be met; if not, nothing is tested
    ::close(lock);
  });
  EXPECT_TRUE(start_daemon(name_, SHOAL_DAEMON_PROGRAM).ok());
  EXPECT_TRUE(serves());
  ends.join();
}

TEST_F(DaemonTest, ServesMoreClientsThanItHasDescriptorsAtFirst) {
  auto segment = open_segment();
  Running daemon([&] {
    rlimit few{};
    ::getrlimit(RLIMIT_NOFILE, &few);
    few.rlim_cur = 40;
    ::setrlimit(RLIMIT_NOFILE, &few);
    const std::vector<std::string> words = command();
    ::execl(words[0].c_str(), words[0].c_str(), words[1].c_str(), words[2].c_str(), nullptr);
  });
  ASSERT_TRUE(eventually([&] { return serves(); }));
  std::vector<DaemonLink> links;
  for (int i = 0; i < 100; ++i) {
    auto link = DaemonLink::connect(name_);
    ASSERT_TRUE(link.ok()) << i;
    links.push_back(std::move(link).value());
  }
  expect_a_killed_client_is_reaped(segment);
}

// Each of many channels is locked together with the shard that the stopped one holds.
TEST_F(DaemonTest, AStoppedHolderKeepsNoTaskOfADeadWorker) {
  SegmentOptions shape;
  shape.max_size = 64 * kMiB;
  auto opened = Segment::open(name_, OpenMode::kAttachOrCreate, shape);
  ASSERT_TRUE(opened.ok()) << describe(opened.status());
  const std::shared_ptr<Segment> segment(std::move(opened).value());
  const std::shared_ptr<Process> process = attach(segment);
  channels::Subscriber subscriber(process);
  for (int i = 0; i < 400; ++i) {
    bool fresh = false;
    const std::string name = std::to_string(i);
    ASSERT_TRUE(subscriber.subscribe(channels::ChannelKind::kChannel, name, {}, kLockBudgetNs, fresh).ok());
  }
  std::string jobs = "jobs";
  const auto shard_of = [&](Bytes name) { return queues::Name(*segment, shm::NamedKind::kQueue, 0, name).shard; };
  for (int i = 0; shard_of(jobs) == 0; ++i) jobs = "jobs" + std::to_string(i);
  queues::TaskQueues queues(*process, 0);
  ASSERT_TRUE(queues.push(jobs, {"one", 0, 0}).ok());
  const auto stats = [&] { return queues.stats(jobs).value().value(); };
  Running worker([&] {
    auto own = attach(segment);
    queues::TaskQueues of_worker(*own, 0);
    queues::Consumer consumer(of_worker);
    if (consumer.add(jobs, false).ok() && consumer.take().ok()) ::pause();
  });
  ASSERT_TRUE(eventually([&] { return stats().leased == 1; }));
  Running holder([&] {
    auto own = attach(segment);
    Transaction tx(*own, *own->context().value());
    if (tx.begin(0b1, kLockBudgetNs).ok()) ::pause();
  });
  ASSERT_TRUE(eventually([&] { return segment->shard(0).owner.load() != 0; }));
  Running daemon(command());
  ASSERT_TRUE(eventually([&] { return serves(); }));
  worker.send(SIGKILL);
  EXPECT_TRUE(eventually([&] { return stats().ready == 1; }));
  EXPECT_NE(segment->shard(0).owner.load(), 0u);
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
  expect_a_killed_client_is_reaped(segment);
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
