// SPDX-License-Identifier: MIT
// Recovery where the sweep cannot look: several recoverers at once, ids of former lives, the journal's bounds.
#include "transaction/recovery.h"

#include <sys/resource.h>

#include <vector>

#include "process/relay.h"
#include "process/wake.h"
#include "support/fresh_name.h"
#include "support/process_fixture.h"
#include "support/single_step.h"
#include "transaction/transaction.h"

namespace shoal {
namespace {

constexpr uint64_t kAll = 0xf;

class Recovery : public ::testing::Test {
 protected:
  const SegmentName name_ = fresh_name("recovery_test");
  std::shared_ptr<Segment> segment_ = [this] {
    SegmentOptions options;
    options.max_size = 16 * kMiB;
    options.shard_count = 4;
    options.context_count = 24;
    options.slot_count = 6;
    return std::shared_ptr<Segment>(Segment::open(name_, OpenMode::kAttachOrCreate, options).value());
  }();
  std::unique_ptr<Process> process_ = attach();

  ~Recovery() override {
    process_.reset();
    leave_nothing_of(name_);
  }
  std::unique_ptr<Process> attach() { return std::move(Process::attach(segment_, shm::SlotRole::kClient)).value(); }
  shm::Context& context_of(Process& process) { return *process.context().value(); }
  uint32_t self() { return context_id_of(*process_); }

  // A word of the segment that a transaction may edit without meaning anything.
  uint64_t& word(uint32_t shard) { return segment_->control_shard(shard).log_head; }

  // Another process dies with all locks, behind an edit of each shard. Returns the id of its context.
  uint32_t somebody_dies() {
    Shared<std::atomic<uint32_t>> id;
    Child child([&] {
      auto process = attach();
      *id = context_id_of(*process);
      Transaction tx(*process, context_of(*process));
      if (!tx.begin(kAll, kLockBudgetNs).ok()) return 1;
      for (uint32_t shard = 0; shard < 4; ++shard) tx.edit(word(shard)) = 77;
      ::kill(::getpid(), SIGKILL);
      return 2;
    });
    EXPECT_EQ(child.wait(), 128 + SIGKILL);
    return *id;
  }
  uint32_t owner(uint32_t shard) { return segment_->shard(shard).owner.load(); }
};

TEST_F(Recovery, UndoesInAllShardsAndFreesTheirLocks) {
  const uint32_t dead = somebody_dies();
  EXPECT_EQ(word(2), 77u);
  EXPECT_TRUE(recover(*process_, self(), dead));
  for (uint32_t shard = 0; shard < 4; ++shard) {
    EXPECT_EQ(word(shard), 0u);
    EXPECT_EQ(owner(shard), 0u);
  }
  EXPECT_EQ(segment_->header().recoveries.load(), 1u);
  EXPECT_GT(segment_->header().longest_recovery_ns.load(), 0u);
}

TEST_F(Recovery, OfWhomSomebodyAliveIsAtChangesNothing) {  // A2
  const uint32_t dead = somebody_dies();
  auto other = attach();
  segment_->control_context(shm::context_index(dead)).recoverer = context_id_of(*other);
  EXPECT_FALSE(recover(*process_, self(), dead));
  EXPECT_EQ(word(0), 77u);
  EXPECT_EQ(owner(0), dead);
  segment_->control_context(shm::context_index(dead)).recoverer = 0;
  EXPECT_TRUE(recover(*process_, self(), dead));
}

TEST_F(Recovery, OfWhoseRecovererDiedIsDoneByTheNext) {
  const uint32_t first = somebody_dies();
  Child recoverer([&] {
    auto process = attach();
    segment_->control_context(shm::context_index(first)).recoverer = context_id_of(*process);
    ::kill(::getpid(), SIGKILL);
    return 0;
  });
  EXPECT_EQ(recoverer.wait(), 128 + SIGKILL);
  EXPECT_TRUE(recover(*process_, self(), first));
  EXPECT_EQ(word(0), 0u);
}

// The context of a recoverer who died may have a new tenant by now: it is the id that has died.
TEST_F(Recovery, OfWhoseRecoverersContextHasAnotherTenantIsDoneByTheNext) {  // I6
  const uint32_t dead = somebody_dies();
  auto tenant = attach();
  const uint32_t now = context_id_of(*tenant), before = now - (1u << shm::kContextIndexBits);
  segment_->control_context(shm::context_index(dead)).recoverer = before;
  EXPECT_TRUE(recover(*process_, self(), dead));
  EXPECT_EQ(word(0), 0u);
}

TEST_F(Recovery, ThatComesTooLateDoesNotTouchTheNextTenant) {  // I6
  auto tenant = attach();
  const uint32_t before = context_id_of(*tenant) - (1u << shm::kContextIndexBits);
  Transaction tx(*tenant, context_of(*tenant));
  ASSERT_TRUE(tx.begin(kAll, kLockBudgetNs).ok());
  tx.edit(word(1)) = 5;
  recover(*process_, self(), before);
  EXPECT_EQ(word(1), 5u);
  EXPECT_EQ(owner(1), context_id_of(*tenant));
  EXPECT_TRUE(tx.commit().ok());
  EXPECT_EQ(word(1), 5u);
}

TEST_F(Recovery, IsMadeByWhoeverWantsTheLock) {
  somebody_dies();
  Transaction tx(*process_, context_of(*process_));
  ASSERT_TRUE(tx.begin(1u << 3, kLockBudgetNs).ok());
  EXPECT_EQ(word(3), 0u);
  EXPECT_EQ(word(0), 0u) << "of all shards, not of the one that was wanted";
}

// B3: what one operation may change is not bounded by a chunk, nor by a record.
TEST_F(Recovery, UndoesMoreThanAChunkHolds) {
  std::vector<uint64_t> before;
  auto* bytes = [&] {
    Transaction tx(*process_, context_of(*process_));
    EXPECT_TRUE(tx.begin(1, kLockBudgetNs).ok());
    auto* block = tx.create<uint64_t>(200'000);
    for (uint64_t i = 0; i < 25'000; ++i) block[i] = i * i;
    before.assign(block, block + 25'000);
    EXPECT_TRUE(tx.commit().ok());
    return block;
  }();
  Child child([&] {
    auto process = attach();
    Transaction tx(*process, context_of(*process));
    if (!tx.begin(1, kLockBudgetNs).ok()) return 1;
    for (uint64_t at = 0; at < 24'000; at += 6'000) {
      std::memset(tx.edit_bytes(bytes + at, 48'000), 0xff, 48'000);
      std::memset(tx.edit_bytes(bytes + at + 3, 5), 0xee, 5);  // what was recorded twice
    }
    ::kill(::getpid(), SIGKILL);
    return 2;
  });
  EXPECT_EQ(child.wait(), 128 + SIGKILL);
  EXPECT_NE(std::vector<uint64_t>(bytes, bytes + 25'000), before);
  EXPECT_EQ(recover_all(*process_, self()), 1u);
  EXPECT_EQ(std::vector<uint64_t>(bytes, bytes + 25'000), before);
}

// Between a commit and its wakes run other transactions of the same context: one of them undone is no wake done.
TEST_F(Recovery, RingsForADebtThatAnotherTransactionsUndoFoundThere) {
  shm::Context& context = context_of(*process_);
  const auto run = [&](bool owes, bool commits) {
    Transaction tx(*process_, context);
    ASSERT_TRUE(tx.begin(1, kLockBudgetNs).ok());
    tx.edit(word(0)) += 1;
    if (owes) tx.owe_wakes();
    ASSERT_TRUE(!commits || tx.commit().ok());
  };
  run(true, false);
  EXPECT_EQ(context.wake_debt, 0u) << "its own";
  run(true, true);
  EXPECT_EQ(context.wake_debt, 1u);
  run(false, false);
  EXPECT_EQ(context.wake_debt, 1u) << "another's";
  run(true, false);
  EXPECT_EQ(context.wake_debt, 1u) << "another's, although it would have owed one, too";
  context.wake_debt = 0;
}

// A7: whoever waits for a holder who is stopped, and so alive, asks ever less often.
TEST_F(Recovery, OfAStoppedHolderIsNoneAndWaitingForHimIsCheap) {
  Signal locked;
  Child holder([&] {
    auto process = attach();
    Transaction tx(*process, context_of(*process));
    if (!tx.begin(1, kLockBudgetNs).ok()) return 1;
    tx.edit(word(0)) = 9;
    locked.send();
    ::pause();
    return 2;
  });
  locked.receive();
  ::kill(holder.pid(), SIGSTOP);
  Transaction tx(*process_, context_of(*process_));
  struct rusage before {
  }, after{};
  ::getrusage(RUSAGE_THREAD, &before);
  EXPECT_EQ(tx.begin(1, 400'000'000).code(), Code::kBusy);
  ::getrusage(RUSAGE_THREAD, &after);
  EXPECT_LT(after.ru_nvcsw - before.ru_nvcsw, 100) << "sleeps in 400 ms; at one a millisecond it would be 400";
  EXPECT_EQ(word(0), 9u);
}

// A publisher has seen four sleepers of a process that is dead, who would have to wake a fifth, and rings them while
// they are recovered: either the recovery sees what they were told to pass on, or the publisher that they do not sleep.
class RecoveryOfSleepers : public Recovery {
 protected:
  // Somebody falls asleep, in an event loop or not, and dies. Returns the id of its context.
  uint32_t somebody_dies_asleep(bool in_a_loop) {
    Shared<std::atomic<uint32_t>> id;
    Child child([&] {
      auto process = attach();
      *id = context_id_of(*process);
      auto waker = in_a_loop ? LoopWaker::create(*process) : Status{};
      if (in_a_loop) {
        waker.value()->arm();
      } else {
        context_of(*process).asleep.fetch_add(1);
      }
      ::kill(::getpid(), SIGKILL);
      return 2;
    });
    EXPECT_EQ(child.wait(), 128 + SIGKILL);
    return *id;
  }

  void ring_at_any_instruction(uint32_t dead) {
    shm::Context& sleeper = context_of(*process_);
    shm::Context& dead_context = segment_->control_context(shm::context_index(dead));
    std::vector<std::byte> as_it_died(sizeof dead_context);
    std::memcpy(as_it_died.data(), static_cast<void*>(&dead_context), as_it_died.size());
    auto recoverer = attach();
    const uint32_t recoverer_id = context_id_of(*recoverer);
    bool rung = true;
    uint64_t instruction = 0;
    for (; rung && !HasFailure(); ++instruction) {
      std::memcpy(static_cast<void*>(&dead_context), as_it_died.data(), as_it_died.size());
      sleeper.relay = 0;
      if (sleeper.asleep % 2 == 0) sleeper.asleep.fetch_add(1);
      Sleepers sleepers(*segment_);
      for (uint32_t i = 0; i < relay::kFanOut; ++i) sleepers.add(dead);
      sleepers.add(self());
      rung = test::Steps::interrupt(
          instruction, [&] { EXPECT_TRUE(recover(*recoverer, recoverer_id, dead)); },
          [&] { sleepers.wake(*process_); });
      if (!rung) sleepers.wake(*process_);
      EXPECT_EQ(sleeper.asleep % 2, 0u) << "rung behind instruction " << instruction;
    }
    EXPECT_GT(instruction, test::Steps::supported() ? 100u : 0u);
  }
};

TEST_F(RecoveryOfSleepers, WakesTheOthersWhoeverRingsAThreadAtAnyInstruction) {
  ring_at_any_instruction(somebody_dies_asleep(false));
}

TEST_F(RecoveryOfSleepers, WakesTheOthersWhoeverRingsALoopAtAnyInstruction) {
  const uint32_t dead = somebody_dies_asleep(true);
  // The publisher has rung it before: its FIFO stays open to him, although recovery removes the file.
  ASSERT_TRUE(process_->fifos().ring(*segment_, dead));
  ring_at_any_instruction(dead);
}

}  // namespace
}  // namespace shoal
