// SPDX-License-Identifier: MIT
// Two containers share a segment, with locks, recovery and blocked commands: everybody here has the thread id 1, each
// in a PID namespace of its own. One of them lives and holds locks in an open transaction; those who wait for these
// locks, who attach, who recover a dead one die beside it, and it must neither be taken for dead nor lose its edits.
// (Robust mutexes as locks fail here: the kernel marks what a thread with the same number holds.)
//
// A process dies behind a chosen instruction by leaving the kernel's way, exit_group: a process 1 does not get signals
// from itself. To the kernel's list of death notes both ends are the same.
#include <sys/syscall.h>
#include <time.h>

#include <bit>
#include <random>

#include "base/clock.h"
#include "commands/blocking.h"
#include "commands/check.h"
#include "commands/reap.h"
#include "support/eventually.h"
#include "support/pid_namespace.h"
#include "support/redis_session.h"
#include "support/single_step.h"
#include "transaction/recovery.h"
#include "transaction/transaction.h"

namespace shoal {
namespace {

constexpr uint64_t kAll = 0b1111, kEdited = 77;
constexpr int kDied = 102;  // the exit code of who dies behind an instruction

// The process ends behind instruction `last` of `body`. Returns the number of instructions if there are fewer.
uint64_t die_behind(uint64_t last, const std::function<void()>& body) {
  uint64_t taken = 0;
  test::Steps::run(body, [&] {
    if (++taken == last) ::syscall(SYS_exit_group, kDied);
  });
  return taken;
}

class EqualThreadIds : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(namespaces_are_permitted()); }
  void TearDown() override {
    if (holder_) kill_tree(*holder_);
  }

  uint64_t& word(uint32_t shard) { return segment_.segment().control_shard(shard).log_head; }
  uint32_t owner(uint32_t shard) { return segment_.segment().shard(shard).owner.load() & ~shm::kWaitersBit; }
  bool somebody_waits(uint32_t shard) { return segment_.segment().shard(shard).owner.load() & shm::kWaitersBit; }
  template <typename F>
  static void for_each(uint64_t shards, F&& f) {
    for (; shards != 0; shards &= shards - 1) f(static_cast<uint32_t>(std::countr_zero(shards)));
  }

  // In a child: opens a transaction over these shards and edits a word of each.
  std::unique_ptr<Transaction> edit(Process& process, uint64_t shards) {
    auto tx = std::make_unique<Transaction>(process, *process.context().value());
    if (!tx->begin(shards, kLockBudgetNs).ok()) ::_exit(1);
    for_each(shards, [&](uint32_t shard) { tx->edit(word(shard)) = kEdited; });
    return tx;
  }

  // The living one, who holds these shards until let_holder_commit().
  void hold(uint64_t shards) {
    held_ = shards;
    holder_ = std::make_unique<Child>([&] {
      return run_as_tid_one([&] {
        auto process = segment_.attach();
        auto tx = edit(*process, held_);
        *holder_id_ = context_id_of(*process);
        holding_.send();
        (void)go_on_.receive();
        return tx->commit().ok() ? 0 : 2;
      });
    });
    (void)holding_.receive();
  }

  void expect_holder_untouched() {
    EXPECT_FALSE(dead(segment_.segment(), *holder_id_));
    for_each(held_, [&](uint32_t shard) {
      EXPECT_EQ(owner(shard), *holder_id_) << "shard " << shard;
      EXPECT_EQ(word(shard), kEdited) << "shard " << shard;
    });
  }

  void let_holder_commit() {
    go_on_.send();
    EXPECT_EQ(holder_->wait(), 0);
    holder_.reset();
    for_each(held_, [&](uint32_t shard) {
      EXPECT_EQ(owner(shard), 0u);
      EXPECT_EQ(word(shard), kEdited);
    });
  }

  // Nobody but this process is left, and nothing of the others.
  void expect_all_gone() {
    (void)sweep(*segment_.process());
    EXPECT_TRUE(segment_.process()->dead_slots().empty());
    for (uint32_t index = 0; index < segment_.segment().slot_count(); ++index) {
      EXPECT_EQ(segment_.process()->slot_alive(index), index == segment_.process()->slot_index()) << "slot " << index;
    }
    const auto report = check_locked(*segment_.process(), kLockBudgetNs);
    ASSERT_TRUE(report.ok()) << describe(report.status());
    for (const Finding& finding : report.value().findings) ADD_FAILURE() << describe(finding);
    EXPECT_EQ(r_("SET k after"), "OK");
    EXPECT_EQ(r_("GET k"), "after");
  }

  // Somebody with thread id 1 dies at each of about `deaths` instructions of `body`, spread over all of it; behind each
  // death, and at the end, `look` is called.
  void die_all_over(uint64_t deaths, const std::function<std::function<void()>()>& prepare,
                    const std::function<void()>& look) {
    const uint64_t all = count_of(prepare());
    look();
    const uint64_t stride = std::max<uint64_t>(all / deaths, 1);
    std::printf("%lu instructions, a death at each %lu\n", static_cast<unsigned long>(all),
                static_cast<unsigned long>(stride));
    for (uint64_t last = 1; last < all && !HasFailure(); last += stride) {
      const auto body = prepare();
      Child dying([&] {
        return run_as_tid_one([&] {
          die_behind(last, body);
          return 0;  // it was shorter this time
        });
      });
      const int code = dying.wait();
      EXPECT_TRUE(code == kDied || code == 0) << code << " at instruction " << last;
      look();
      EXPECT_FALSE(HasFailure()) << "died behind instruction " << last;
    }
  }

  TestSegment segment_;
  TestSession r_{segment_};

 private:
  uint64_t count_of(const std::function<void()>& body) {
    Shared<uint64_t> count;
    Child child([&] {
      return run_as_tid_one([&] {
        *count = die_behind(0, body);
        return 0;
      });
    });
    EXPECT_EQ(child.wait(), 0);
    return *count;
  }

  Shared<std::atomic<uint32_t>> holder_id_;
  Signal holding_, go_on_;
  std::unique_ptr<Child> holder_;
  uint64_t held_ = 0;
};

TEST_F(EqualThreadIds, AWaiterThatDiesAsleepSetsNoLockFree) {
  hold(kAll);
  std::mt19937 random(4711);
  for (int round = 0; round < 40 && !HasFailure(); ++round) {
    Signal waiting;
    Child waiter([&] {
      return run_as_tid_one([&] {
        TestSession session(segment_.attach());
        waiting.send();
        (void)session("SET k waiter");
        return 0;
      });
    });
    (void)waiting.receive();
    EXPECT_TRUE(
        eventually([&] { return somebody_waits(0) || somebody_waits(1) || somebody_waits(2) || somebody_waits(3); }));
    const timespec pause{0, static_cast<long>(random() % 3'000'000)};
    ::nanosleep(&pause, nullptr);
    kill_tree(waiter);
    expect_holder_untouched();
    recover_all(*segment_.process(), context_id_of(*segment_.process()));
    expect_holder_untouched();
  }
  let_holder_commit();
  EXPECT_EQ(r_("GET k"), "(nil)");
  expect_all_gone();
}

TEST_F(EqualThreadIds, AnAttacherThatDiesAtAnyInstructionMarksNobodyAndLeavesNothing) {
  hold(0b0011);
  die_all_over(
      150,
      [&] {
        return [&] {
          auto opened = Segment::open(segment_.name(), OpenMode::kAttach, tiny_segment_options());
          if (!opened.ok()) ::_exit(1);
          auto process = Process::attach(std::move(opened).value(), shm::SlotRole::kClient);
          if (!process.ok() || !process.value()->context().ok()) ::_exit(2);
        };
      },
      [&] {
        expect_holder_untouched();
        (void)segment_.process()->reap_dead_slots();
        expect_holder_untouched();
      });
  let_holder_commit();
  expect_all_gone();
}

TEST_F(EqualThreadIds, ARecovererThatDiesAtAnyInstructionUndoesNothingOfTheLiving) {
  hold(0b0011);
  die_all_over(
      150,
      [&]() -> std::function<void()> {
        Child dead_one([&] {
          return run_as_tid_one([&] {
            auto process = segment_.attach();
            auto tx = edit(*process, 0b1100);
            ::syscall(SYS_exit_group, kDied);
            return 0;
          });
        });
        EXPECT_EQ(dead_one.wait(), kDied);
        EXPECT_EQ(word(3), kEdited);
        return [process = segment_.attach()] { recover_all(*process, context_id_of(*process)); };
      },
      [&] {
        expect_holder_untouched();
        recover_all(*segment_.process(), context_id_of(*segment_.process()));
        (void)segment_.process()->reap_dead_slots();
        expect_holder_untouched();
        for (const uint32_t shard : {2u, 3u}) {
          EXPECT_EQ(owner(shard), 0u);
          EXPECT_EQ(word(shard), 0u);
        }
      });
  let_holder_commit();
  expect_all_gone();
}

// The first in line dies: before there is anything to pop, which passes over it or finds it reaped; or with a turn that
// was promised to it and has to go on to the next.
TEST_F(EqualThreadIds, APopThatWaitsIsServedWhenAnotherThatWaitedBeforeItDies) {
  enum Event { kKill, kReap, kPush };
  constexpr Event kOrders[][3] = {{kKill, kPush, kReap}, {kKill, kReap, kPush}, {kPush, kKill, kReap}};
  for (int round = 0; round < 9 && !HasFailure(); ++round) {
    Signal first_waits, second_waits;
    Child first([&] {
      return run_as_tid_one([&] {
        TestSession session(segment_.attach());
        if (session("BLPOP jobs 0") == "(pending)") first_waits.send();
        ::pause();  // and does not look whether its turn has come
        return 1;
      });
    });
    (void)first_waits.receive();
    Child second([&] {
      return run_as_tid_one([&] {
        TestSession session(segment_.attach());
        if (session("BLPOP jobs 0") != "(pending)") return 1;
        second_waits.send();
        int patience = 100;  // sleeps of a fraction of a second
        if (blocking::wait(session.session(), [&] { return --patience == 0; }) != Outcome::kReplied) return 2;
        ReplyReader reader(session.session().reply());
        return show(reader) == "[jobs, x]" ? 0 : 3;
      });
    });
    (void)second_waits.receive();
    for (const Event event : kOrders[round % 3]) {
      if (event == kKill) kill_tree(first);
      if (event == kPush) {
        EXPECT_EQ(r_("RPUSH jobs x"), "1");
      }
      if (event == kReap) {
        EXPECT_EQ(sweep(*segment_.process()), 1u) << "of two with thread id 1 one is dead";
      }
    }
    EXPECT_EQ(second.wait(), 0) << "order " << round % 3;
  }
  expect_all_gone();
}

}  // namespace
}  // namespace shoal
