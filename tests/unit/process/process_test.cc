// SPDX-License-Identifier: MIT
#include "process/process.h"

#include <set>
#include <thread>
#include <vector>

#include "process/context.h"
#include "support/process_fixture.h"
#include "support/single_step.h"

namespace shoal {
namespace {

using ProcessLife = ProcessTest;

TEST_F(ProcessLife, AttachTakesASlotAndLeavingFreesIt) {
  auto segment = open_segment();
  auto process = attach(segment);
  ASSERT_NE(process, nullptr);
  const uint32_t slot = process->slot_index();
  EXPECT_TRUE(process->slot_alive(slot));
  EXPECT_TRUE(process->slot_alive(slot, process->slot_generation()));
  EXPECT_FALSE(process->slot_alive(slot, process->slot_generation() + 1));
  EXPECT_EQ(segment->slot(slot).pid, static_cast<uint32_t>(::getpid()));
  const uint64_t generation = process->slot_generation();
  process.reset();
  auto next = attach(segment);
  EXPECT_EQ(next->slot_index(), slot);
  EXPECT_EQ(next->slot_generation(), generation + 1);
}

TEST_F(ProcessLife, AThreadKeepsItsContextAndOtherThreadsHaveOthers) {
  auto process = attach();
  const uint32_t mine = context_id_of(*process);
  ASSERT_NE(mine, 0u);
  EXPECT_EQ(context_id_of(*process), mine);
  EXPECT_EQ(holder_pid(process->segment(), mine), static_cast<uint32_t>(::getpid()));
  uint32_t other = 0;
  std::thread([&] {
    other = context_id_of(*process);
    EXPECT_FALSE(dead(process->segment(), other));
  }).join();
  EXPECT_NE(other, 0u);
  EXPECT_NE(other, mine);
  EXPECT_TRUE(dead(process->segment(), other)) << "a thread's exit gives its context back";
  EXPECT_EQ(process->segment().context(shm::context_index(other)).claim.load(), 0u);
  EXPECT_FALSE(dead(process->segment(), mine));
}

TEST_F(ProcessLife, TwoProcessObjectsInOneThreadHaveTwoContexts) {
  auto segment = open_segment();
  auto one = attach(segment);
  auto two = attach(segment);
  EXPECT_NE(one->slot_index(), two->slot_index());
  const uint32_t first = context_id_of(*one);
  const uint32_t second = context_id_of(*two);
  EXPECT_NE(first, second);
  EXPECT_EQ(context_id_of(*one), first);
  EXPECT_EQ(context_id_of(*two), second);
  one.reset();
  EXPECT_TRUE(dead(*segment, first));
  EXPECT_EQ(context_id_of(*two), second);
}

TEST_F(ProcessLife, AContextIsReusedUnderANewGenerationOnly) {  // A4
  auto process = attach();
  std::set<uint32_t> seen;
  for (int round = 0; round < 200; ++round) {
    EXPECT_TRUE(seen.insert(context_id_of(*process)).second);
    process->release_context();
  }
}

TEST_F(ProcessLife, AGenerationThatWrapsNeverGivesTheIdThatSaysRetired) {  // A4
  auto process = attach();
  for (uint32_t index = 0; index < tiny_.context_count; ++index) {
    process->segment().control_context(index).next_generation = shm::kContextGenerationMask - 1;
  }
  for (int round = 0; round < 80; ++round) {
    const uint32_t id = context_id_of(*process);
    EXPECT_NE(id >> shm::kContextIndexBits, 0u);
    EXPECT_EQ(id & shm::kWaitersBit, 0u);
    process->release_context();
  }
}

// Its claimer's slot is dead; somebody retires the context and the next one claims it, while a reaper looks at it.
TEST_F(ProcessLife, AReaperNeverFindsTheNextOwnerOfAContextInADeadSlotAtAnyInstruction) {
  constexpr uint32_t kDeadSlot = 3, kDead = 77, kNext = 88;
  shm::Context context{};
  bool stepped = true;
  for (uint64_t instruction = 0; stepped; ++instruction) {
    context.claim = claim_word(kDeadSlot, 1);
    context.id = kDead;
    uint32_t found = 0;
    stepped = test::Steps::interrupt(
        instruction, [&] { found = id_in_slot(context, kDeadSlot); },
        [&] {
          context.id = 0;
          context.claim = 0;
          context.claim = claim_word(kDeadSlot + 1, 1);
          context.id = kNext;
        });
    EXPECT_TRUE(found == kDead || (stepped && found == 0)) << found << " at instruction " << instruction;
  }
}

TEST_F(ProcessLife, TheReleaseHookRunsBeforeTheIdIsRetired) {
  static uint32_t released;
  released = 0;
  auto process = attach();
  const uint32_t mine = context_id_of(*process);
  Process::set_release([](Segment&, shm::Context& context) { released = context.id.load(); });
  process->release_context();
  EXPECT_EQ(released, mine);
}

TEST_F(ProcessLife, TheLastContextsAreKeptForRecovery) {
  auto process = attach();
  const uint32_t regular = tiny_.context_count - kReservedContextCount;
  Signal done;
  std::vector<std::thread> threads;
  std::atomic<uint32_t> got{0}, refused{0}, asked{0};
  std::atomic<bool> stop{false};
  for (uint32_t each = 0; each < tiny_.context_count; ++each) {
    threads.emplace_back([&] {
      auto context = process->context();
      (context.ok() ? got : refused).fetch_add(1);
      if (context.ok()) {
        EXPECT_LT(shm::context_index(context.value()->id.load()), regular);
      } else {
        EXPECT_EQ(context.status().code(), Code::kTooManyThreads);
      }
      if (asked.fetch_add(1) + 1 == tiny_.context_count) done.send();
      stop.wait(false);
    });
  }
  done.receive();
  EXPECT_EQ(got, regular);
  EXPECT_EQ(refused, kReservedContextCount);
  stop = true;
  stop.notify_all();
  for (std::thread& thread : threads) thread.join();
  EXPECT_NE(context_id_of(*process), 0u) << "room again when they are gone";
}

TEST_F(ProcessLife, AForkedChildHasASlotAndAContextOfItsOwn) {  // A3
  auto process = attach();
  const uint32_t parents_id = context_id_of(*process);
  const uint32_t parents_slot = process->slot_index();
  Child child([&] {
    if (process->known_context() != nullptr) return 1;
    const uint32_t id = context_id_of(*process);
    if (id == 0 || id == parents_id) return 2;
    if (process->slot_index() == parents_slot) return 3;
    if (dead(process->segment(), parents_id)) return 4;
    process->release_context();
    return dead(process->segment(), parents_id) ? 5 : 0;
  });
  EXPECT_EQ(child.wait(), 0);
  EXPECT_EQ(context_id_of(*process), parents_id);
  EXPECT_FALSE(dead(process->segment(), parents_id));
}

TEST_F(ProcessLife, AChildThatExitsItsThreadOrDestroysTheProcessLeavesTheParentsContextAlone) {  // A3
  auto process = attach();
  const uint32_t parents_id = context_id_of(*process);
  const uint32_t slot = process->slot_index();
  Child destroyer([&] {
    process.reset();
    return 0;
  });
  EXPECT_EQ(destroyer.wait(), 0);
  // A thread forks and the child's copy of it returns, which runs the thread-local destructors there.
  static Process* shared;
  static uint32_t threads_id;
  static int child_status;
  static pthread_key_t last;  // its destructor runs after that of process/, and there ends the child
  shared = process.get();
  ASSERT_EQ(::pthread_key_create(&last, [](void*) { ::_exit(0); }), 0);
  pthread_t thread;
  ASSERT_EQ(::pthread_create(
                &thread, nullptr,
                [](void*) -> void* {
                  threads_id = context_id_of(*shared);
                  const pid_t pid = ::fork();
                  if (pid == 0) {
                    ::pthread_setspecific(last, &last);
                    return nullptr;
                  }
                  EXPECT_EQ(::waitpid(pid, &child_status, 0), pid);
                  EXPECT_FALSE(dead(shared->segment(), threads_id)) << "the child gave back its parent's context";
                  return nullptr;
                },
                nullptr),
            0);
  ASSERT_EQ(::pthread_join(thread, nullptr), 0);
  EXPECT_EQ(child_status, 0);
  EXPECT_FALSE(dead(process->segment(), parents_id));
  EXPECT_TRUE(process->slot_alive(slot));
}

TEST_F(ProcessLife, AKilledProcessIsADeadContextAtOnceAndADeadSlotOnceItIsGone) {
  auto process = attach();
  Signal ready;
  struct Seen {
    uint32_t id, slot;
  };
  Shared<Seen> shared;
  Child child([&] {
    shared->id = context_id_of(*process);
    shared->slot = process->slot_index();
    ready.send();
    ::pause();
    return 0;
  });
  ready.receive();
  EXPECT_FALSE(dead(process->segment(), shared->id));
  EXPECT_TRUE(process->slot_alive(shared->slot));
  EXPECT_TRUE(process->dead_slots().empty());
  child.kill();
  EXPECT_TRUE(dead(process->segment(), shared->id));
  EXPECT_FALSE(process->slot_alive(shared->slot));
  EXPECT_EQ(process->dead_slots(), std::vector<uint32_t>{shared->slot});
  EXPECT_EQ(process->reap_dead_slots(), 1u);
  EXPECT_TRUE(process->dead_slots().empty());
  const shm::Context& context = process->segment().context(shm::context_index(shared->id));
  EXPECT_EQ(context.claim.load(), 0u);
  EXPECT_EQ(context.id.load(), 0u);
}

TEST_F(ProcessLife, ASegmentInMemoryTakesAProcessWithoutALifeFile) {
  std::vector<std::byte> raw(8 * kMiB + kPageBytes);
  auto* memory = reinterpret_cast<std::byte*>(round_up(reinterpret_cast<uint64_t>(raw.data()), kPageBytes));
  auto segment = Segment::format_memory(memory, tiny_);
  ASSERT_TRUE(segment.ok());
  auto process = attach(std::shared_ptr<Segment>(std::move(segment).value()));
  EXPECT_NE(context_id_of(*process), 0u);
  EXPECT_TRUE(process->dead_slots().empty());
}

}  // namespace
}  // namespace shoal
