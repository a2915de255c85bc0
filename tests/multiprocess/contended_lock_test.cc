// SPDX-License-Identifier: MIT
// The lock of a shard while somebody waits for it, and deaths beside it: of a waiter, of one for whom it just became
// free, of a holder who lets go of it, of a holder who goes on as another program. Who sleeps for it then, or comes
// next, has it within the ordinary budget and finds the segment sound. In the sweeps of tests/crash nobody waits.
#include <sys/auxv.h>

#include <fstream>

#include "commands/check.h"
#include "commands/reap.h"
#include "support/eventually.h"
#include "support/process_fixture.h"
#include "support/redis_session.h"
#include "support/single_step.h"
#include "transaction/transaction.h"

namespace shoal {
namespace {

constexpr uint32_t kShard = 1;

class ContendedLock : public ::testing::Test {
 protected:
  // A word of the shard that a transaction may edit without meaning anything.
  uint64_t& word() { return segment_.segment().control_shard(kShard).log_head; }
  uint32_t lock_word() { return segment_.segment().shard(kShard).owner.load(); }
  uint32_t holder() { return lock_word() & ~shm::kWaitersBit; }
  bool somebody_waits() { return (lock_word() & shm::kWaitersBit) != 0; }

  // A look at the kernel's clock begins anew when the clock ticks meanwhile, as it does under steps: whoever counted
  // these instructions would miss others.
  static bool in_the_clock() { return test::Steps::next() - ::getauxval(AT_SYSINFO_EHDR) < 4 * kPageBytes; }
  // Kills this process behind the instruction of `body` that is number `last` of those that count.
  static void die_behind(
      uint64_t last, const std::function<void()>& body, const std::function<bool()>& counts = [] { return true; }) {
    uint64_t taken = 0;
    test::Steps::run(body, [&] {
      if (!in_the_clock() && counts() && ++taken == last) ::kill(::getpid(), SIGKILL);
    });
  }
  static bool was_killed(Child& child) {
    const int code = child.wait();
    EXPECT_TRUE(code == 0 || code == 128 + SIGKILL) << code;
    return code != 0;
  }
  // `dies(last)` has somebody die behind his instruction `last`, and is false if he has fewer.
  void at_every_instruction(const std::function<bool(uint64_t last)>& dies) {
    uint64_t last = 1;
    for (; !HasFailure() && dies(last); ++last) {
      EXPECT_NO_FATAL_FAILURE(expect_sound());
      EXPECT_FALSE(HasFailure()) << "died behind instruction " << last;
    }
    expect_sound();
    std::printf("%lu kills\n", last - 1);
    EXPECT_GT(last, test::Steps::supported() ? 20u : 0u);
  }

  // Somebody who wants the lock; asleep when this returns. Ends with 0 when he had it, and says what the word was then.
  std::unique_ptr<Child> somebody_sleeps() {
    auto sleeper = std::make_unique<Child>([this] {
      auto process = segment_.attach();
      shm::Context& context = *process->context().value();
      coming_.send();
      const ShardLock lock(*process, context, kShard, kLockBudgetNs);
      *seen_ = word();
      return lock.ok() ? 0 : 1;
    });
    (void)coming_.receive();
    expect_to_sleep(*sleeper);
    return sleeper;
  }
  // The only one who waits sleeps in the kernel.
  void expect_to_sleep(const Child& waiter) {
    const std::string stat = "/proc/" + std::to_string(waiter.pid()) + "/stat";
    EXPECT_TRUE(eventually([&] {
      std::string line;
      std::getline(std::ifstream(stat), line);
      return somebody_waits() && line.find(") S ") != std::string::npos;
    }));
  }

  // The next one takes all locks with the ordinary budget; then nobody is left of the dead.
  void expect_sound() {
    const auto report = check_locked(*next_, kLockBudgetNs);
    ASSERT_TRUE(report.ok()) << describe(report.status());
    for (const Finding& finding : report.value().findings) ADD_FAILURE() << describe(finding);
    (void)sweep(*next_);
    EXPECT_TRUE(next_->dead_slots().empty());
    EXPECT_EQ(lock_word(), 0u);
  }

  TestSegment segment_;
  const std::shared_ptr<Process> next_ = segment_.attach();
  shm::Context& living_ = *segment_.process()->context().value();  // who holds the lock and does not die
  const uint32_t living_id_ = living_.id.load();
  Signal coming_, holding_, go_on_;
  Shared<std::atomic<uint64_t>> seen_;
};

// He spins, sleeps a few times, and gives up.
TEST_F(ContendedLock, IsTakenByTheNextOneWhereAWaiterDiedAtEveryInstructionOfItsWait) {
  constexpr int64_t kWaitNs = 8'000'000;
  at_every_instruction([&](uint64_t last) {
    ShardLock held(*segment_.process(), living_, kShard, kLockBudgetNs);
    Child waiter([&] {
      auto process = segment_.attach();
      shm::Context& context = *process->context().value();
      Code code = Code::kOk;
      die_behind(last, [&] { code = ShardLock(*process, context, kShard, kWaitNs).status().code(); });
      return code == Code::kBusy ? 0 : 1;
    });
    const bool killed = was_killed(waiter);
    EXPECT_EQ(holder(), living_id_);
    return killed;
  });
}

TEST_F(ContendedLock, IsTakenByTheNextOneWhereAWaiterDiedAsleep) {
  for (int round = 0; round < 30 && !HasFailure(); ++round) {
    ShardLock held(*segment_.process(), living_, kShard, kLockBudgetNs);
    somebody_sleeps()->kill();
    EXPECT_EQ(holder(), living_id_);
    held.unlock();
    expect_sound();
  }
}

// What counts begins where the lock becomes free under him; it ends where he has given it back.
TEST_F(ContendedLock, IsTakenByTheNextOneWhereAWaiterDiedAtEveryInstructionBehindItsWait) {
  at_every_instruction([&](uint64_t last) {
    ShardLock held(*segment_.process(), living_, kShard, kLockBudgetNs);
    Child waiter([&] {
      auto process = segment_.attach();
      shm::Context& context = *process->context().value();
      bool got = false;
      die_behind(
          last, [&] { got = ShardLock(*process, context, kShard, kLockBudgetNs).ok(); },
          [&, fell = false]() mutable { return fell = fell || holder() != living_id_; });
      return got ? 0 : 1;
    });
    expect_to_sleep(waiter);
    held.unlock();
    return was_killed(waiter);
  });
}

// The wake may be lost with him; the work he had begun is done, or not, before the sleeper sees it.
TEST_F(ContendedLock, GoesToTheSleeperWhereItsHolderDiedAtEveryInstructionOfItsCommit) {
  at_every_instruction([&](uint64_t last) {
    const uint64_t before = word();
    Child dying([&] {
      auto process = segment_.attach();
      Transaction tx(*process, *process->context().value());
      if (!tx.begin(1u << kShard, kLockBudgetNs).ok()) return 1;
      tx.edit(word()) = before + 1;
      holding_.send();
      (void)go_on_.receive();
      bool done = false;
      die_behind(last, [&] { done = tx.commit().ok(); });
      return done ? 0 : 2;
    });
    (void)holding_.receive();
    const auto sleeper = somebody_sleeps();
    go_on_.send();
    const bool killed = was_killed(dying);
    EXPECT_EQ(sleeper->wait(), 0);
    EXPECT_TRUE(*seen_ == before + 1 || (killed && *seen_ == before)) << *seen_;
    EXPECT_EQ(word(), *seen_);
    return killed;
  });
  EXPECT_GT(word(), test::Steps::supported() ? 1u : 0u) << "nobody died behind his commit";
}

// The process lives on, and its pid; the thread that locked does not.
TEST_F(ContendedLock, OfAHolderWhoGoesOnAsAnotherProgramGoesToTheSleeperAndItsWorkIsUndone) {
  Signal executed;
  Child holder([&] {
    auto process = segment_.attach();
    Transaction tx(*process, *process->context().value());
    if (!tx.begin(1u << kShard, kLockBudgetNs).ok()) return 1;
    tx.edit(word()) = 77;
    if (tx.create<uint64_t>(1000) == nullptr) return 2;
    holding_.send();
    (void)go_on_.receive();
    ::dup2(executed.sender(), 1);
    ::execl("/bin/sh", "sh", "-c", "echo; exec sleep 300", static_cast<char*>(nullptr));
    return 3;
  });
  (void)holding_.receive();
  EXPECT_EQ(word(), 77u);
  const auto sleeper = somebody_sleeps();
  go_on_.send();
  (void)executed.receive();
  EXPECT_EQ(sleeper->wait(), 0);
  EXPECT_EQ(*seen_, 0u);
  EXPECT_EQ(word(), 0u);
  expect_sound();
  EXPECT_EQ(::waitpid(holder.pid(), nullptr, WNOHANG), 0) << "the other program has ended";
}

}  // namespace
}  // namespace shoal
