// SPDX-License-Identifier: MIT
#include "process/wake.h"

#include <poll.h>
#include <sched.h>

#include <filesystem>
#include <thread>

#include "base/clock.h"
#include "process/context.h"
#include "process/relay.h"
#include "support/process_fixture.h"
#include "support/single_step.h"

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
  ThreadSleep sleep(*process, *context.value());
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

// A publisher and a sleeper, round after round, at all distances from each other. round() says whether the sleeper, who
// had prepared, saw the message; over() whether the publisher has come back from his wake.
class Duel {
 public:
  explicit Duel(Process& process) : process_(process), context_(*process.context().value()) {
    const uint32_t id = context_.id.load();
    publisher_ = std::thread([this, &process, id] {
      for (uint64_t round = 1;; ++round) {
        uint64_t at = 0;
        spin_until([&] {
          (void)context_.asleep.load(std::memory_order_relaxed);  // keeps a stale copy near
          return (at = start_.load(std::memory_order_acquire)) >= round;
        });
        if (at == kEnd) return;
        for (uint64_t spin = round % 61; spin != 0; --spin) std::atomic_signal_fence(std::memory_order_seq_cst);
        message_.store(round, std::memory_order_relaxed);
        wake_context(process, id);
        finished_.store(round, std::memory_order_release);
      }
    });
  }
  ~Duel() {
    start_ = kEnd;
    publisher_.join();
  }

  // `act` is called with what was seen after prepare().
  template <typename F>
  void round(F&& act) {
    start_.store(++rounds_, std::memory_order_release);
    for (uint64_t spin = rounds_ * 7 % 1'009; spin != 0; --spin) std::atomic_signal_fence(std::memory_order_seq_cst);
    ThreadSleep sleep(process_, context_);
    sleep.prepare();
    act(sleep, message_.load(std::memory_order_relaxed) == rounds_);
  }
  bool over() const { return finished_.load(std::memory_order_acquire) == rounds_; }
  void wait_until_over() const {
    spin_until([this] {
      (void)message_.load(std::memory_order_relaxed);  // a stale copy for the next round
      return over();
    });
  }
  bool asleep() const { return context_.asleep.load() % 2 != 0; }
  uint64_t rounds() const { return rounds_; }

 private:
  static constexpr uint64_t kEnd = ~uint64_t{0};
  Process& process_;
  shm::Context& context_;
  alignas(64) std::atomic<uint64_t> message_{0};
  alignas(64) std::atomic<uint64_t> start_{0};
  alignas(64) std::atomic<uint64_t> finished_{0};
  alignas(64) uint64_t rounds_ = 0;
  std::thread publisher_;
};

// The fences: the sleeper sees the message or the waker sees the sleeper.
TEST_F(Wake, NeverDoBothSidesMissEachOther) {
  auto process = attach();
  uint64_t missed = 0;
  Duel duel(*process);
  const int64_t end = monotonic_ns() + 2 * kSecondNs;
  while (duel.rounds() < 2'000 || (duel.rounds() < 300'000 && monotonic_ns() < end)) {  // more where there is room
    duel.round([&](ThreadSleep&, bool seen) {
      duel.wait_until_over();
      missed += !seen && duel.asleep();
    });
  }
  EXPECT_EQ(missed, 0u) << "of " << duel.rounds();
}

TEST_F(Wake, NobodyFallsAsleepBetweenTheTwoHalvesOfAWake) {
  auto process = attach();
  uint64_t slept_through = 0;
  Duel duel(*process);
  const int64_t end = monotonic_ns() + 2 * kSecondNs;
  while (duel.rounds() < 2'000 || (duel.rounds() < 300'000 && monotonic_ns() < end)) {
    duel.round([&](ThreadSleep& sleep, bool seen) {
      if (!seen && !sleep.wait(kThreadSleepMaxNs) && duel.over()) ++slept_through;
      duel.wait_until_over();
    });
  }
  EXPECT_EQ(slept_through, 0u) << "of " << duel.rounds();
}

TEST_F(Wake, ASleepThatNobodyEndsLastsItsTimeOut) {
  auto process = attach();
  ThreadSleep sleep(*process, *process->context().value());
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
  waker.disarm(*process);
  EXPECT_FALSE(readable(waker.fd()));
  waker.arm();
  wake_everybody(*process);
  EXPECT_TRUE(readable(waker.fd()));
}

// The byte comes first: a waker that dies, or cannot write, before it leaves the loop marked asleep for the next one.
TEST_F(Wake, ALoopThatCouldNotBeRungStaysMarkedAsleep) {  // D1
  auto process = attach(), waker = attach();
  auto loop = LoopWaker::create(*process);
  ASSERT_TRUE(loop.ok()) << describe(loop.status());
  loop.value()->arm();
  const shm::Context& context = *process->context().value();
  const std::string hidden = name_.runtime_dir() + ".hidden";
  std::filesystem::rename(name_.runtime_dir(), hidden);
  wake_context(*waker, loop.value()->context_id());
  std::filesystem::rename(hidden, name_.runtime_dir());
  EXPECT_EQ(context.loop_asleep.load() % 2, 1u);
  EXPECT_FALSE(readable(loop.value()->fd()));
  wake_context(*waker, loop.value()->context_id());
  EXPECT_EQ(context.loop_asleep.load() % 2, 0u);
  EXPECT_TRUE(readable(loop.value()->fd()));
}

// Who could not ring it, for want of a descriptor, say, has forgotten it.
TEST_F(Wake, ALoopThatCouldNotBeRungIsRungByTheNextSweep) {
  auto process = attach(), waker = attach();
  auto loop = LoopWaker::create(*process);
  ASSERT_TRUE(loop.ok()) << describe(loop.status());
  loop.value()->arm();
  const std::string hidden = name_.runtime_dir() + ".hidden";
  std::filesystem::rename(name_.runtime_dir(), hidden);
  EXPECT_FALSE(wake_context(*waker, loop.value()->context_id()));
  relay_all(*waker, *waker->context().value());
  std::filesystem::rename(hidden, name_.runtime_dir());
  EXPECT_FALSE(readable(loop.value()->fd()));
  relay_all(*waker, *waker->context().value());
  EXPECT_TRUE(readable(loop.value()->fd()));
}

TEST_F(Wake, AThreadsSleepInAnArmedLoopDoesNotDisarmIt) {
  auto process = attach();
  auto loop = LoopWaker::create(*process);
  ASSERT_TRUE(loop.ok());
  loop.value()->arm();
  {
    ThreadSleep sleep(*process, *process->context().value());
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
  second.value()->disarm(*process);
  second.value()->arm();
  wake_context(*process, second.value()->context_id());
  EXPECT_TRUE(readable(second.value()->fd()));
}

TEST_F(Wake, ALoopsWakerThatGoesDoesNotEndTheSleepOfTheNextOne) {
  auto process = attach();
  auto first = LoopWaker::create(*process), second = LoopWaker::create(*process);
  ASSERT_TRUE(first.ok() && second.ok());
  first.value()->arm();
  first.value()->disarm(*process);
  second.value()->arm();
  std::move(first).value().reset();
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

// A reaper that was held up since it saw that the context's former owner had no id.
TEST_F(Wake, AFifoStaysWhenAClaimIsFreedThatIsAnothersByNow) {
  auto process = attach();
  auto loop = LoopWaker::create(*process);
  ASSERT_TRUE(loop.ok()) << describe(loop.status());
  shm::Context& context = *process->context().value();
  const uint64_t claim = context.claim;
  free_claim(process->segment(), context, claim + 1, claim_word(0, 77));
  EXPECT_EQ(context.claim, claim);
  EXPECT_EQ(::access(FifoPath(process->segment(), context.id).text, F_OK), 0);
}

// The context's former owner goes, and the next one's loop falls asleep, while a recoverer is between two looks at it.
TEST_F(Wake, RingingEverybodyEndsNoLoopsSleepWithoutAByteInItsFifoAtAnyInstruction) {
  auto process = attach();
  auto waker = std::move(LoopWaker::create(*process)).value();
  shm::Context& context = *process->context().value();
  const uint32_t id = context.id, former = id + (1u << shm::kContextIndexBits);
  const int fd = open_fifo(process->segment(), former, true);
  ASSERT_TRUE(process->fifos().ring(process->segment(), former)) << "it stays open here although its file may go";
  bool stepped = true;
  for (uint64_t instruction = 0; stepped && !HasFailure(); ++instruction) {
    context.id = former;
    stepped = test::Steps::interrupt(
        instruction, [&] { wake_everybody(*process); },
        [&] {
          context.id = id;
          waker->arm();
        });
    context.id = id;
    EXPECT_TRUE(!stepped || context.loop_asleep % 2 != 0 || readable(waker->fd())) << "instruction " << instruction;
    waker->disarm(*process);
  }
  ::close(fd);
}

}  // namespace
}  // namespace shoal
