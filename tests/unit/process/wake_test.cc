// SPDX-License-Identifier: MIT
#include "process/wake.h"

#include <poll.h>
#include <sched.h>

#include <thread>

#include "base/clock.h"
#include "support/process_fixture.h"

namespace shoal {
namespace {

using Wake = ProcessTest;
constexpr int64_t kSecondNs = 1'000'000'000;

bool readable(int fd) {
  pollfd poll{fd, POLLIN, 0};
  return ::poll(&poll, 1, 0) == 1;
}

TEST_F(Wake, AThreadThatPreparedIsWokenEvenIfItDoesNotWaitYet) {
  auto process = attach();
  auto context = process->context();
  ThreadSleep sleep(*context.value());
  sleep.prepare();
  const uint32_t id = context_id_of(*process);
  std::thread([&] { wake_context(*process, id); }).join();
  EXPECT_TRUE(sleep.wait(kSecondNs));
}

// Spins, for the two sides are to run at once; on a busy machine the other side needs the processor.
template <typename F>
void spin_until(F&& done) {
  for (uint32_t spins = 1; !done(); ++spins) {
    if (spins % 4'096 == 0) ::sched_yield();
  }
}

// The fences alone, round after round: the sleeper must see the message or the waker must see the sleeper.
TEST_F(Wake, NeverDoBothSidesMissEachOther) {
  auto process = attach();
  shm::Context& context = *process->context().value();
  const uint32_t id = context.id.load();
  alignas(64) std::atomic<uint64_t> message{0};
  alignas(64) std::atomic<uint64_t> start{0};
  alignas(64) std::atomic<uint64_t> finished{0};
  constexpr uint64_t kEnd = ~uint64_t{0};
  std::thread publisher([&] {
    for (uint64_t round = 1;; ++round) {
      uint64_t at;
      spin_until([&] {
        (void)context.asleep.load(std::memory_order_relaxed);  // keeps a stale copy near
        return (at = start.load(std::memory_order_acquire)) >= round;
      });
      if (at == kEnd) return;
      for (uint64_t spin = round % 61; spin != 0; --spin) std::atomic_signal_fence(std::memory_order_seq_cst);
      message.store(round, std::memory_order_relaxed);
      wake_context(*process, id);
      finished.store(round, std::memory_order_release);
    }
  });
  uint64_t rounds = 0, missed = 0;
  const int64_t end = monotonic_ns() + 3 * kSecondNs;
  while (rounds < 2'000 || (rounds < 300'000 && monotonic_ns() < end)) {  // more where the machine has room
    start.store(++rounds, std::memory_order_release);
    for (uint64_t spin = rounds * 7 % 1'009; spin != 0; --spin) std::atomic_signal_fence(std::memory_order_seq_cst);
    ThreadSleep sleep(context);
    sleep.prepare();
    const bool seen = message.load(std::memory_order_relaxed) == rounds;
    spin_until([&] { return finished.load(std::memory_order_acquire) == rounds; });
    missed += !seen && context.asleep.load() % 2 != 0;
  }
  start = kEnd;
  publisher.join();
  EXPECT_EQ(missed, 0u) << "of " << rounds;
}

TEST_F(Wake, ASleepThatNobodyEndsLastsItsTimeOut) {
  auto process = attach();
  ThreadSleep sleep(*process->context().value());
  sleep.prepare();
  EXPECT_FALSE(sleep.wait(2'000'000));
}

TEST_F(Wake, WakingSomebodyAwakeChangesNothing) {
  auto process = attach();
  shm::Context& context = *process->context().value();
  const uint32_t before = context.asleep.load();
  wake_context(*process, context.id.load());
  EXPECT_EQ(context.asleep.load(), before);
}

TEST_F(Wake, ALoopsFifoIsReadableAfterAWakeAndQuietAfterDisarm) {
  auto process = attach();
  auto loop = LoopWaker::create(*process);
  ASSERT_TRUE(loop.ok()) << describe(loop.status());
  LoopWaker& waker = *loop.value();
  wake_context(*process, waker.context_id());
  EXPECT_FALSE(readable(waker.fd())) << "awake: no system call, no byte";
  waker.arm();
  EXPECT_FALSE(readable(waker.fd()));
  wake_context(*process, waker.context_id());
  EXPECT_TRUE(readable(waker.fd()));
  wake_context(*process, waker.context_id());
  waker.disarm();
  EXPECT_FALSE(readable(waker.fd()));
  waker.arm();
  wake_everybody(*process);
  EXPECT_TRUE(readable(waker.fd()));
}

TEST_F(Wake, AThreadsSleepInAnArmedLoopDoesNotDisarmIt) {
  auto process = attach();
  auto loop = LoopWaker::create(*process);
  ASSERT_TRUE(loop.ok());
  loop.value()->arm();
  {
    ThreadSleep sleep(*process->context().value());
    sleep.prepare();
    EXPECT_FALSE(sleep.wait(1'000'000));
  }
  wake_context(*process, loop.value()->context_id());
  EXPECT_TRUE(readable(loop.value()->fd()));
}

TEST_F(Wake, TheNextLoopOfAThreadIsReachedByTheSameFifo) {
  auto process = attach();
  auto first = LoopWaker::create(*process);
  ASSERT_TRUE(first.ok());
  first.value()->arm();
  wake_context(*process, first.value()->context_id());  // now this process keeps a descriptor of it
  auto second = LoopWaker::create(*process);
  ASSERT_TRUE(second.ok());
  std::move(first).value().reset();
  second.value()->disarm();
  second.value()->arm();
  wake_context(*process, second.value()->context_id());
  EXPECT_TRUE(readable(second.value()->fd()));
}

TEST_F(Wake, TheNextOwnerOfAContextIsReachedByItsOwnFifo) {
  tiny_.context_count = kReservedContextCount + 1;  // there is but one to be had
  auto process = attach();
  auto waker_of_all = attach();
  for (int round = 0; round < 3; ++round) {
    std::thread([&] {
      auto loop = LoopWaker::create(*process);
      ASSERT_TRUE(loop.ok()) << describe(loop.status());
      loop.value()->arm();
      wake_context(*waker_of_all, loop.value()->context_id());
      EXPECT_TRUE(readable(loop.value()->fd())) << "round " << round;
    }).join();
  }
}

TEST_F(Wake, AFifoGoesWithItsContext) {
  auto process = attach();
  std::string path;
  std::thread([&] {
    auto loop = LoopWaker::create(*process);
    ASSERT_TRUE(loop.ok());
    path = FifoPath(process->segment(), loop.value()->context_id()).text;
    EXPECT_EQ(::access(path.c_str(), F_OK), 0);
  }).join();
  EXPECT_NE(::access(path.c_str(), F_OK), 0);
}

}  // namespace
}  // namespace shoal
