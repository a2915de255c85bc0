// SPDX-License-Identifier: MIT
#include "process/wake.h"

#include <poll.h>

#include <thread>

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
