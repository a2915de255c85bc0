// SPDX-License-Identifier: MIT
#include "queues/lease.h"

#include <map>
#include <random>
#include <set>
#include <thread>

#include "base/clock.h"
#include "support.h"

namespace shoal::queues {
namespace {

using Lease = QueueTest;

TEST_F(Lease, ATagIsReadAsItWasWrittenAndAnythingElseIsNoTag) {
  const LeaseTag tag{0x1234, 7, ~uint64_t{0}, 9, "a queue@with.an@"};
  const LeaseTag read = LeaseTag::parse(tag.text()).value();
  EXPECT_EQ(read.text(), tag.text());
  EXPECT_EQ(read.queue, tag.queue);
  for (const char* wrong : {"", "@", "1.2.3@q", "1.2.3.4", "1.2.3.4.5@q", "x.2.3.4@q", "\xff@q"}) {
    EXPECT_FALSE(LeaseTag::parse(wrong)) << wrong;
  }
}

TEST_F(Lease, WhatADeadProcessHeldComesBackInItsOrder) {
  Worker worker(attach());
  ASSERT_TRUE(worker.consumer->add("q", false).ok());
  for (const char* data : {"1", "2", "3"}) push(data);
  take(*worker.consumer);
  take(*worker.consumer);
  Consumer other(*queues_);
  ASSERT_TRUE(other.add("q", true).ok());
  reap(*process_, *worker.process);
  for (const char* expected : {"1", "2", "3", "-"}) EXPECT_EQ(take_data(other), expected);
  reap(*process_, *worker.process);
  EXPECT_EQ(stats().consumers, 1u);
}

TEST_F(Lease, ACloseGivesBackAndCountsNoDelivery) {
  push("1");
  for (int i = 0; i < 10; ++i) {
    Consumer consumer(*queues_);
    ASSERT_TRUE(consumer.add("q", false).ok());
    const Delivery delivery = *take(consumer);
    ASSERT_TRUE(start(*queues_, tag_of(delivery)).value());
  }
  EXPECT_EQ(stats().ready, 1u);
  EXPECT_EQ(stats().dead, 0u);
}

TEST_F(Lease, ATaskThatKillsItsWorkerThreeTimesIsADeadLetterAndItsPrefetchedNeighboursAreNot) {
  push("poison");
  for (int i = 0; i < 99; ++i) push("innocent " + std::to_string(i));
  for (int death = 0; death < 3; ++death) {
    Worker worker(attach());
    ASSERT_TRUE(worker.consumer->add("q", false).ok());
    const Delivery poison = *take(*worker.consumer);
    ASSERT_EQ(poison.data, "poison");
    for (int i = 0; i < 99; ++i) ASSERT_TRUE(take(*worker.consumer));
    ASSERT_TRUE(start(worker.queues, tag_of(poison)).value());
    reap(*process_, *worker.process);
  }
  EXPECT_EQ(stats().ready, 99u);
  EXPECT_EQ(stats().dead, 1u);
  EXPECT_EQ(queues_->dead_letters("q", 10).value(), std::vector<std::string>{"poison"});
  EXPECT_EQ(queues_->revive("q").value(), 1u);
  Consumer consumer(*queues_);
  ASSERT_TRUE(consumer.add("q", true).ok());
  EXPECT_EQ(take_data(consumer), "poison");
}

TEST_F(Lease, TheOldestLeaseIsTheOneThatWasTakenFirst) {
  Consumer consumer(*queues_);
  ASSERT_TRUE(consumer.add("q", false).ok());
  for (const char* data : {"1", "2", "3"}) push(data);
  const auto now = static_cast<uint64_t>(wall_clock_ms());
  EXPECT_EQ(stats().oldest_lease_ms, 0u);
  const Delivery first = *take(consumer);
  set_wall_clock_offset_ms(60'000);
  take(consumer);
  EXPECT_GE(stats().oldest_lease_ms, now);
  EXPECT_LT(stats().oldest_lease_ms, now + 50'000);
  ASSERT_TRUE(consumer.ack(tag_of(first)).value());
  EXPECT_GE(stats().oldest_lease_ms, now + 60'000);
  set_wall_clock_offset_ms(0);
}

TEST_F(Lease, AnOrderlyRequeueIsNoDeath) {
  push("patient");
  Consumer consumer(*queues_);
  ASSERT_TRUE(consumer.add("q", false).ok());
  for (int i = 0; i < 10; ++i) {
    const LeaseTag tag = tag_of(*take(consumer));
    ASSERT_TRUE(start(*queues_, tag).value());
    ASSERT_TRUE(finish(*queues_, tag, Outcome::kRequeue).value());
    ASSERT_TRUE(consumer.reject(tag, true).value());
  }
  EXPECT_EQ(stats().dead, 0u);
  for (int i = 0; i < 3; ++i) {  // a pool child that dies: started, never finished, rejected by its parent
    const LeaseTag tag = tag_of(*take(consumer));
    ASSERT_TRUE(start(*queues_, tag).value());
    ASSERT_TRUE(consumer.reject(tag, true).value());
  }
  EXPECT_EQ(stats().dead, 1u);
}

TEST_F(Lease, ATaskWhoseParentDiedBelongsToTheChildThatRunsIt) {
  Worker parent(attach()), child(attach());
  ASSERT_TRUE(parent.consumer->add("q", false).ok());
  push("job");
  const LeaseTag tag = tag_of(*take(*parent.consumer));
  ASSERT_TRUE(start(child.queues, tag).value());
  reap(*process_, *parent.process);
  EXPECT_EQ(stats().leased, 1u);
  EXPECT_EQ(stats().ready, 0u) << "it must not run a second time beside the child";
  ASSERT_TRUE(finish(child.queues, tag, Outcome::kAck).value());
  EXPECT_EQ(stats().leased, 0u);
  EXPECT_EQ(stats().ready, 0u);
}

TEST_F(Lease, ATaskComesBackWhenBothOwnersAreGoneInWhateverOrder) {
  for (const bool parent_first : {true, false}) {
    Worker parent(attach()), child(attach());
    ASSERT_TRUE(parent.consumer->add("q", false).ok());
    push("job");
    const LeaseTag tag = tag_of(*take(*parent.consumer));
    ASSERT_TRUE(start(child.queues, tag).value());
    reap(*process_, parent_first ? *parent.process : *child.process);
    EXPECT_EQ(stats().ready, 0u) << "one owner lives";
    reap(*process_, parent_first ? *child.process : *parent.process);
    EXPECT_EQ(stats().ready, 1u);
    EXPECT_FALSE(start(child.queues, tag).value()) << "a late start must not run it";
    EXPECT_EQ(queues_->purge("q").value(), 1u);
  }
}

// A pool child says that it has run its task, and dies before its parent hears of it.
TEST_F(Lease, WhatTheChildSaidStandsAgainstAParentWhoGivesTheTaskBack) {
  for (const Outcome said : {Outcome::kAck, Outcome::kDrop, Outcome::kRequeue}) {
    Worker parent(attach()), child(attach());
    ASSERT_TRUE(parent.consumer->add("q", false).ok());
    push("job");
    const LeaseTag tag = tag_of(*take(*parent.consumer));
    ASSERT_TRUE(start(child.queues, tag).value());
    ASSERT_TRUE(finish(child.queues, tag, said).value());
    reap(*process_, *child.process);
    EXPECT_TRUE(parent.consumer->reject(tag, true).value());
    EXPECT_EQ(stats().leased, 0u);
    EXPECT_EQ(stats().ready, said == Outcome::kRequeue ? 1u : 0u);
  }
  EXPECT_EQ(stats().acknowledged, 1u);
}

TEST_F(Lease, ATaskThatHadEndedWhenItsParentDiedDoesNotRunAgain) {
  Worker parent(attach()), child(attach());
  ASSERT_TRUE(parent.consumer->add("q", false).ok());
  push("job");
  const LeaseTag tag = tag_of(*take(*parent.consumer));
  ASSERT_TRUE(start(child.queues, tag).value());
  ASSERT_TRUE(finish(child.queues, tag, Outcome::kAck).value());
  EXPECT_EQ(stats().leased, 1u) << "the parent has not answered yet";
  reap(*process_, *parent.process);
  EXPECT_EQ(stats().leased + stats().ready, 0u);
}

TEST_F(Lease, ATaskStartsInAFullSegmentAndItsDeliveryCounts) {
  ASSERT_TRUE(queues_->declare("q", {.max_deliveries = 1}).ok());
  Worker parent(attach()), child(attach()), another(attach());
  ASSERT_TRUE(parent.consumer->add("q", false).ok());
  push("job");
  const LeaseTag tag = tag_of(*take(*parent.consumer));
  for (const size_t block : {size_t{100'000}, size_t{3'000}, sizeof(shm::Holder)}) {
    const std::string data(block - sizeof(shm::Task), 'x');
    while (queues_->push("q", {data}).ok()) continue;
  }
  ASSERT_EQ(another.consumer->add("q", false).code(), Code::kFull) << "there is room for an owner";
  const Result<bool> started = start(child.queues, tag);
  ASSERT_TRUE(started.ok() && started.value()) << describe(started.status());
  const uint64_t before = stats().ready;
  reap(*process_, *parent.process);
  EXPECT_EQ(stats().dead, 1u) << "a delivery that was not counted";
  EXPECT_EQ(stats().ready, before);
  EXPECT_FALSE(finish(child.queues, tag, Outcome::kAck).value()) << "it has no lease of its own";
}

TEST_F(Lease, AnAutoDeleteQueueGoesWithItsLastConsumerHoweverMuchIsInIt) {
  ASSERT_TRUE(queues_->declare("mail", {.auto_delete = true}).ok());
  Worker dying(attach());
  std::optional<Consumer> closing(std::in_place, *queues_);
  ASSERT_TRUE(dying.consumer->add("mail", false).ok());
  ASSERT_TRUE(closing->add("mail", false).ok());
  for (int i = 0; i < 1000; ++i) push("x", 0, 0, "mail");
  ASSERT_TRUE(take(*dying.consumer));
  closing.reset();
  EXPECT_TRUE(queues_->stats("mail").value());
  reap(*process_, *dying.process);
  EXPECT_FALSE(queues_->stats("mail").value());
}

TEST_F(Lease, WhatAReaperHadToLeaveIsFoundByTheGenerationOfItsSlot) {
  auto dying = std::make_unique<Worker>(attach());
  ASSERT_TRUE(dying->consumer->add("q", false).ok());
  push("job");
  ASSERT_TRUE(take(*dying->consumer));
  Worker alive(attach());
  ASSERT_TRUE(alive.consumer->add("q", false).ok());
  push("other");
  ASSERT_TRUE(take(*alive.consumer));
  Process::set_reap(nullptr);
  // Its slot falls free, and nobody gave back what it held.
  segment_->control_slot(dying->process->slot_index()).generation += 1;
  ASSERT_TRUE(release_stale(*process_).ok());
  EXPECT_EQ(stats().ready, 1u);
  EXPECT_EQ(stats().leased, 1u) << "the living keeps its own";
  segment_->control_slot(dying->process->slot_index()).generation -= 1;
}

// A loop's reaper does not wait for a lock; neither it nor anybody else forgets what lies behind it.
TEST_F(Lease, TheSlotOfTheDeadStaysDeadUntilAllIsGivenBack) {
  Process::set_reap([](Process& process, uint32_t slot) {
    return release_slot(process, slot, process.segment().slot(slot).generation.load(), kLoopLockBudgetNs).ok();
  });
  const Name locked(*segment_, shm::NamedKind::kQueue, 0, "q");
  std::string open = "r";
  while (Name(*segment_, shm::NamedKind::kQueue, 0, open).shard == locked.shard) open += "r";
  push("job");
  push("job", 0, 0, open);
  const pid_t pid = ::fork();
  if (pid == 0) {
    auto process = Process::attach(segment_, shm::SlotRole::kClient);
    TaskQueues queues(*process.value(), 0);
    Consumer consumer(queues);
    const bool took = consumer.take_from("q", false).value() && consumer.take_from(open, false).value();
    ::_exit(took ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  ASSERT_EQ(status, 0);
  auto holder = attach();
  auto other = attach();
  {
    ShardLock lock(*holder, *holder->context().value(), locked.shard, kLockBudgetNs);
    ASSERT_TRUE(lock.ok());
    EXPECT_EQ(process_->reap_dead_slots(), 0u);
    EXPECT_EQ(stats(open).ready, 1u) << "an open shard waits for a locked one";
    EXPECT_EQ(queues_->push("q", {"x"}, kLoopLockBudgetNs).status().code(), Code::kBusy);
  }
  EXPECT_EQ(other->reap_dead_slots(), 1u) << "forgotten by all but the first reaper";
  EXPECT_EQ(stats().ready, 1u);
  EXPECT_TRUE(process_->dead_slots().empty());
}

TEST_F(Lease, OneLockedShardDoesNotKeepAConsumerFromItsOtherQueues) {
  const Name locked(*segment_, shm::NamedKind::kQueue, 0, "q");
  std::string open = "r";
  while (Name(*segment_, shm::NamedKind::kQueue, 0, open).shard == locked.shard) open += "r";
  Consumer consumer(*queues_);
  ASSERT_TRUE(consumer.add("q", false).ok() && consumer.add(open, false).ok());
  ASSERT_EQ(consumer.listen().value(), 0);
  push("behind");
  push("before", 0, 0, open);
  auto holder = attach();
  {
    ShardLock lock(*holder, *holder->context().value(), locked.shard, kLockBudgetNs);
    EXPECT_EQ(consumer.take(kLoopLockBudgetNs).value()->data, "before");
    EXPECT_EQ(consumer.take(kLoopLockBudgetNs).status().code(), Code::kBusy);
    EXPECT_EQ(consumer.listen(kLoopLockBudgetNs).status().code(), Code::kBusy);
    EXPECT_EQ(stats(open).waiting, 1u) << "it does not sleep for what it can have";
    EXPECT_EQ(consumer.unlisten(kLoopLockBudgetNs).code(), Code::kBusy);
    EXPECT_EQ(stats(open).waiting, 0u);
  }
  EXPECT_EQ(take_data(consumer), "behind");
}

TEST_F(Lease, ASleepingConsumerIsWokenForWhatComesBack) {
  Worker dying(attach());
  ASSERT_TRUE(dying.consumer->add("q", false).ok());
  push("job");
  ASSERT_TRUE(take(*dying.consumer));
  Consumer sleeper(*queues_);
  ASSERT_TRUE(sleeper.add("q", false).ok());
  EXPECT_EQ(sleeper.listen().value(), 0);
  EXPECT_EQ(stats().waiting, 1u);
  reap(*process_, *dying.process);
  EXPECT_EQ(stats().waiting, 0u) << "woken";
  EXPECT_EQ(sleeper.listen().value(), Consumer::kReady);
}

TEST_F(Lease, ATurnThatIsNotTakenGoesToTheNextSleeper) {
  Consumer first(*queues_), second(*queues_);
  ASSERT_TRUE(first.add("q", false).ok() && second.add("q", false).ok());
  EXPECT_EQ(first.listen().value(), 0);
  EXPECT_EQ(second.listen().value(), 0);
  push("job");
  EXPECT_EQ(stats().waiting, 1u);
  ASSERT_TRUE(first.unlisten().ok());
  EXPECT_EQ(stats().waiting, 0u) << "the second was not woken";
  ASSERT_TRUE(take(second));
  // A sleeper that stops before anything came wakes nobody.
  EXPECT_EQ(first.listen().value(), 0);
  EXPECT_EQ(second.listen().value(), 0);
  ASSERT_TRUE(first.unlisten().ok());
  EXPECT_EQ(stats().waiting, 1u);
}

TEST_F(Lease, ATurnOfTheDeadGoesToTheNextSleeper) {
  Worker dying(attach());
  Consumer next(*queues_);
  ASSERT_TRUE(dying.consumer->add("q", false).ok() && next.add("q", false).ok());
  EXPECT_EQ(dying.consumer->listen().value(), 0);
  EXPECT_EQ(next.listen().value(), 0);
  push("job");
  EXPECT_EQ(stats().waiting, 1u) << "it is the dying one's turn";
  reap(*process_, *dying.process);
  EXPECT_EQ(stats().waiting, 0u) << "the next was not woken";
  EXPECT_EQ(take_data(next), "job");
}

TEST_F(Lease, AsManySleepersAreWokenAsTasksOfTheDeadComeBack) {
  Worker dying(attach());
  ASSERT_TRUE(dying.consumer->add("q", false).ok());
  for (const char* data : {"1", "2"}) push(data);
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(take(*dying.consumer));
  Consumer first(*queues_), second(*queues_), third(*queues_), fourth(*queues_);
  for (Consumer* sleeper : {&first, &second, &third, &fourth}) {
    ASSERT_TRUE(sleeper->add("q", false).ok());
    EXPECT_EQ(sleeper->listen().value(), 0);
  }
  reap(*process_, *dying.process);
  EXPECT_LE(stats().waiting, 2u);
  EXPECT_EQ(take_data(first), "1");
  EXPECT_EQ(take_data(second), "2");
}

TEST_F(Lease, WhoStopsListeningTellsTheNextWhatComesDue) {
  const auto due = static_cast<uint64_t>(wall_clock_ms()) + 1'800'000;
  const std::pair<const char*, std::function<bool(Consumer&)>> ways[] = {
      {"listens no more", [](Consumer& one) { return one.unlisten().ok(); }},
      {"takes from another queue", [](Consumer& one) { return take_data(one) == "other"; }},
      {"leaves the queue and keeps what it holds", [](Consumer& one) { return one.remove("q").ok(); }},
  };
  for (const auto& [how, stop] : ways) {
    Consumer first(*queues_), second(*queues_);
    push("held");
    ASSERT_TRUE(first.take_from("q", false).value());
    for (Consumer* each : {&first, &second}) {
      ASSERT_TRUE(each->add("q", false).ok() && each->add("r", true).ok());
      ASSERT_EQ(each->listen().value(), 0);
    }
    push("delayed", 0, due);
    ASSERT_EQ(stats().waiting, 1u) << "one was woken, and it is the first";
    for (int i = 0; i < 3; ++i) {
      ASSERT_EQ(first.listen().value(), static_cast<int64_t>(due));
      EXPECT_EQ(stats().waiting, 2u) << "who listens wakes nobody";
    }
    push("other", 0, 0, "r");
    ASSERT_TRUE(stop(first));
    EXPECT_EQ(stats().waiting, 0u) << "the second sleeps past the task, since the first " << how;
    (void)second.take_from("r", true);
    EXPECT_EQ(second.listen().value(), static_cast<int64_t>(due));
    ASSERT_TRUE(first.close().ok() && second.close().ok());
    ASSERT_TRUE(queues_->remove("q").ok());
  }
}

TEST_F(Lease, WhoTakesWhatCameDueTellsTheNextWhatComesDueAfterIt) {
  const auto now = static_cast<uint64_t>(wall_clock_ms());
  Consumer first(*queues_), second(*queues_);
  for (Consumer* each : {&first, &second}) {
    ASSERT_TRUE(each->add("q", false).ok());
    ASSERT_EQ(each->listen().value(), 0);
  }
  push("soon", 0, now + 1'800'000);
  ASSERT_EQ(first.listen().value(), static_cast<int64_t>(now + 1'800'000));
  push("late", 0, now + 3'600'000);  // wakes nobody: somebody wakes before
  ASSERT_EQ(stats().waiting, 2u);
  set_wall_clock_offset_ms(1'900'000);
  EXPECT_EQ(take_data(first), "soon");  // and works on it for longer than half an hour
  EXPECT_EQ(stats().waiting, 0u) << "the second sleeps past the other task";
  EXPECT_EQ(second.listen().value(), static_cast<int64_t>(now + 3'600'000));
  set_wall_clock_offset_ms(0);
}

TEST_F(Lease, AThreadThatSleepsForATaskIsWokenByItsPush) {
  Consumer consumer(*queues_);
  ASSERT_TRUE(consumer.add("q", true).ok());
  std::string got;
  std::thread sleeper([&] {
    std::optional<Delivery> delivery;
    while (!(delivery = take(consumer))) (void)wait(*process_, {&consumer}, -1);
    got = delivery->data;
  });
  while (stats().waiting == 0) std::this_thread::yield();
  push("hello");
  sleeper.join();
  EXPECT_EQ(got, "hello");
}

// Consumers, helpers, deaths and answers in random order against what the rules say in the plainest way.
TEST_F(Lease, RandomHistoriesAgreeWithAModel) {
  std::mt19937 random(4711);
  for (int history = 0; history < 30; ++history) {
    const std::string queue = "model" + std::to_string(history);
    struct Held {
      std::string data;
      int worker;      // first owner, -1 = gone
      int child = -1;  // second owner
      bool started = false;
    };
    std::vector<std::unique_ptr<Worker>> workers(4);
    std::map<std::string, Held> held;  // by tag
    std::multiset<std::string> ready;
    const auto revive = [&](size_t i) {
      workers[i].reset();
      workers[i] = std::make_unique<Worker>(attach());
      ASSERT_TRUE(workers[i]->consumer->add(queue, false).ok());
    };
    for (size_t i = 0; i < workers.size(); ++i) revive(i);
    const auto bury = [&](int w) {
      for (auto it = held.begin(); it != held.end();) {
        Held& h = it->second;
        if (h.child == w) h.child = -1;
        if (h.worker == w) h.worker = -1;
        const bool back = h.worker < 0 && h.child < 0;
        if (back) ready.insert(h.data);
        it = back ? held.erase(it) : std::next(it);
      }
    };
    for (int step = 0; step < 300; ++step) {
      const size_t w = random() % workers.size();
      auto one = held.empty() ? held.end() : std::next(held.begin(), static_cast<long>(random() % held.size()));
      const LeaseTag tag = one == held.end() ? LeaseTag{} : *LeaseTag::parse(one->first);
      switch (random() % 7) {
        case 0:
        case 1: {
          const std::string data = std::to_string(random() % 50);
          push(data, random() % 3, 0, queue);
          ready.insert(data);
          break;
        }
        case 2:
        case 3:
          if (auto delivery = take(*workers[w]->consumer)) {
            auto found = ready.find(delivery->data);
            ASSERT_NE(found, ready.end());
            ready.erase(found);
            held[delivery->tag] = {delivery->data, static_cast<int>(w)};
          } else {
            ASSERT_TRUE(ready.empty());
          }
          break;
        case 4:
          if (one == held.end() || one->second.started) break;
          ASSERT_TRUE(start(workers[w]->queues, tag).value());
          one->second.started = true;
          if (one->second.worker != static_cast<int>(w)) one->second.child = static_cast<int>(w);
          break;
        case 5:
          if (one == held.end()) break;
          if (one->second.worker < 0) {
            ASSERT_TRUE(finish(workers[static_cast<size_t>(one->second.child)]->queues, tag, Outcome::kAck).value());
          } else if (random() % 2) {
            ASSERT_TRUE(workers[static_cast<size_t>(one->second.worker)]->consumer->ack(tag).value());
          } else {
            ASSERT_TRUE(workers[static_cast<size_t>(one->second.worker)]->consumer->reject(tag, true).value());
            ready.insert(one->second.data);
          }
          held.erase(one);
          break;
        default:
          reap(*process_, *workers[w]->process);
          bury(static_cast<int>(w));
          revive(w);
      }
      ASSERT_TRUE(queues_->revive(queue).ok());
      const QueueStats now = stats(queue);
      ASSERT_EQ(now.leased, held.size());
      ASSERT_EQ(now.ready, ready.size());
    }
    expect_whole();
    workers.clear();
    ASSERT_TRUE(queues_->remove(queue).ok());
  }
}

// Processes push, take, answer and are killed at any moment: whatever was leased comes back and every block is
// accounted for.
TEST_F(Lease, NothingIsDamagedWhenProcessesAreKilledAtAnyMoment) {
  std::mt19937 random(99);
  for (int round = 0; round < 60; ++round) {
    std::vector<pid_t> children;
    for (int i = 0; i < 2; ++i) {
      const pid_t pid = ::fork();
      if (pid == 0) {
        ::alarm(30);
        auto process = Process::attach(segment_, shm::SlotRole::kClient);
        if (!process.ok()) ::_exit(1);
        TaskQueues queues(*process.value(), 0);
        Consumer consumer(queues);
        (void)consumer.add("q", false);
        for (uint64_t n = 0;; ++n) {
          const uint64_t due = n % 5 == 0 ? static_cast<uint64_t>(wall_clock_ms()) + 2 : 0;
          (void)queues.push("q", {std::string(n % 300, 'x'), static_cast<uint32_t>(n % 4), due});
          auto taken = consumer.take();
          if (!taken.ok() || !taken.value()) continue;
          const LeaseTag tag = *LeaseTag::parse(taken.value()->tag);
          if (n % 3 == 0) (void)start(queues, tag);
          if (n % 7 == 0) {
            (void)consumer.reject(tag, true);
          } else if (n % 11 != 0) {
            (void)consumer.ack(tag);
          }
          if (n % 50 == 0) (void)consumer.listen();
        }
      }
      children.push_back(pid);
    }
    ::usleep(2000 + random() % 8000);  // how long they live, nothing more
    for (pid_t pid : children) ::kill(pid, SIGKILL);
    for (pid_t pid : children) ::waitpid(pid, nullptr, 0);
    process_->reap_dead_slots();
    expect_whole();
    if (HasFailure()) return;
    if (auto now = queues_->stats("q").value()) {
      EXPECT_EQ(now->leased, 0u);
      EXPECT_EQ(now->consumers, 0u);
    }
  }
  EXPECT_GT(stats().pushed, 100u);
}

}  // namespace
}  // namespace shoal::queues
