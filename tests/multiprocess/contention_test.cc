// SPDX-License-Identifier: MIT
// Many who want one lock, and some of them wait for long (A8). Whoever may wait gets it in the end; whoever must not is
// told at once, and nothing has happened.
#include <sched.h>

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "support/eventually.h"
#include "support/process_fixture.h"
#include "support/redis_session.h"

namespace shoal {
namespace {

TEST(Contention, EveryOneOfManyProcessesGetsALockThatTheyAllWant) {
  constexpr int kProcesses = 32;
  constexpr int64_t kSpanNs = 1'000'000'000;
  SegmentOptions shape = tiny_segment_options();
  shape.slot_count = 2 * kProcesses;
  TestSegment segment(shape);
  Shared<std::atomic<int>> there;
  Shared<std::atomic<int64_t>> turns;
  std::vector<std::unique_ptr<Child>> children;
  for (int i = 0; i < kProcesses; ++i) {
    children.push_back(std::make_unique<Child>([&] {
      TestSession mine(segment.attach());
      mine("PING");
      ++*there;
      while (*there < kProcesses) ::sched_yield();
      for (const int64_t end = monotonic_ns() + kSpanNs; monotonic_ns() < end; ++*turns) {
        if (const std::string answer = mine("INCR turns"); answer[0] < '1' || answer[0] > '9') {
          ADD_FAILURE() << answer;
          return 1;
        }
      }
      return 0;
    }));
  }
  for (auto& child : children) EXPECT_EQ(child->wait(), 0);
  EXPECT_GT(*turns, kProcesses);
  EXPECT_EQ(TestSession(segment)("GET turns"), std::to_string(*turns));
}

// The longest wait that the prototype saw among 32 processes was 140 ms.
TEST(Contention, AnEventLoopIsToldAtOnceOfALockForWhichOthersWait) {
  constexpr int64_t kLongestWaitNs = 300'000'000;
  TestSegment segment;
  TestSession loop(segment);
  const std::shared_ptr<Process> other = segment.attach();
  std::optional<Transaction> holder(std::in_place, *other, *other->context().value());
  const auto shard = keyspace::make_key(segment.segment(), 0, "a").shard;
  ASSERT_TRUE(holder->begin(uint64_t{1} << shard, kLockBudgetNs).ok());
  std::string answer;
  std::jthread waiter([&] { answer = TestSession(segment)("APPEND a x"); });
  ASSERT_TRUE(eventually([&] { return (segment.segment().shard(shard).owner.load() & shm::kWaitersBit) != 0; }));
  const Bytes words[] = {"APPEND", "a", "y"};
  bool told = true;
  for (const int64_t end = monotonic_ns() + kLongestWaitNs; told && monotonic_ns() < end;) {
    told = loop.session().execute(words, kLoopLockBudgetNs) == Outcome::kBusy;
  }
  EXPECT_TRUE(told);
  holder->rollback();
  waiter.join();
  EXPECT_EQ(answer, "1");
  EXPECT_EQ(loop("GET a"), "x");
}

}  // namespace
}  // namespace shoal
