// SPDX-License-Identifier: MIT
#include "queues/task_queue.h"

#include <barrier>
#include <thread>

#include "base/clock.h"
#include "process/wake.h"
#include "support.h"
#include "transaction/size_class.h"

namespace shoal::queues {
namespace {

TEST_F(QueueTest, TasksComeInTheOrderOfPriorityAndThenOfTheirPush) {
  Consumer consumer(*queues_);
  ASSERT_TRUE(consumer.add("q", true).ok());
  push("b1", 5);
  push("c1", 9);
  push("a1", 0);
  push("b2", 5);
  push("a2", 0);
  push("c2", 99);
  for (const char* expected : {"a1", "a2", "b1", "b2", "c1", "c2", "-"}) EXPECT_EQ(take_data(consumer), expected);
}

TEST_F(QueueTest, ATaskThatComesBackStandsWhereItStood) {
  Consumer consumer(*queues_);
  ASSERT_TRUE(consumer.add("q", false).ok());
  for (const char* data : {"1", "2", "3", "4"}) push(data);
  const Delivery one = *take(consumer), two = *take(consumer), three = *take(consumer);
  EXPECT_FALSE(two.redelivered);
  ASSERT_TRUE(consumer.reject(tag_of(three), true).value());
  ASSERT_TRUE(consumer.reject(tag_of(two), true).value());
  const Delivery again = *take(consumer);
  EXPECT_EQ(again.data, "2");
  EXPECT_TRUE(again.redelivered);
  EXPECT_EQ(take_data(consumer), "3");
  EXPECT_EQ(take_data(consumer), "4");
  EXPECT_TRUE(consumer.ack(tag_of(one)).value());
  EXPECT_FALSE(consumer.ack(tag_of(one)).value()) << "it was acknowledged before";
  EXPECT_FALSE(consumer.ack(tag_of(two)).value()) << "an answer to a lease that has ended";
  EXPECT_TRUE(consumer.ack(tag_of(again)).value());
  EXPECT_EQ(stats().leased, 2u);
}

TEST_F(QueueTest, ADelayedTaskStaysUntilItIsDueAndComesInTheOrderOfDueTimes) {
  Consumer consumer(*queues_);
  ASSERT_TRUE(consumer.add("q", true).ok());
  const auto now = static_cast<uint64_t>(wall_clock_ms());
  push("late", 0, now + 3'600'000);
  push("soon", 0, now + 1'800'000);
  push("past", 0, now - 5);
  EXPECT_EQ(take_data(consumer), "past");
  EXPECT_EQ(take_data(consumer), "-");
  EXPECT_EQ(stats().delayed, 2u);
  EXPECT_EQ(consumer.listen().value(), static_cast<int64_t>(now + 1'800'000));
  set_wall_clock_offset_ms(7'200'000);
  EXPECT_EQ(consumer.listen().value(), Consumer::kReady);
  push("new");
  EXPECT_EQ(take_data(consumer), "soon");
  EXPECT_EQ(take_data(consumer), "late");
  EXPECT_EQ(take_data(consumer), "new") << "a task takes its place when it comes due";
  set_wall_clock_offset_ms(0);
}

TEST_F(QueueTest, AFullQueueDropsItsHeadOrRefusesAsItWasDeclared) {
  ASSERT_TRUE(queues_->declare("q", {.max_length = 2}).ok());
  for (const char* data : {"1", "2", "3"}) push(data);
  Consumer consumer(*queues_);
  ASSERT_TRUE(consumer.add("q", true).ok());
  EXPECT_EQ(take_data(consumer), "2");
  ASSERT_TRUE(queues_->declare("strict", {.max_length = 1, .drop_head = false}).ok());
  EXPECT_EQ(queues_->push("strict", {"1"}).value(), PushResult::kPushed);
  EXPECT_EQ(queues_->push("strict", {"2"}).value(), PushResult::kRefused);
}

TEST_F(QueueTest, AMessageLargerThanABlockComesOutAsItWentIn) {
  std::string large(3 * kBlockMax + 12345, '\0');
  for (size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>(i * 31 + i / 4096);
  Consumer consumer(*queues_);
  ASSERT_TRUE(consumer.add("q", false).ok());
  push(large);
  push("");
  const Delivery delivery = *take(consumer);
  EXPECT_TRUE(delivery.data == large);
  EXPECT_TRUE(consumer.ack(tag_of(delivery)).value());
  EXPECT_EQ(take_data(consumer), "");
}

TEST_F(QueueTest, AFullSegmentIsAnErrorAndChangesNothing) {
  const std::string data(200'000, 'x');
  Status last;
  uint64_t pushed = 0;
  for (; pushed < 1000; ++pushed) {
    auto result = queues_->push("q", {data});
    last = result.status();
    if (!result.ok()) break;
  }
  EXPECT_EQ(last.code(), Code::kFull);
  EXPECT_EQ(stats().ready, pushed);
  expect_whole();
  EXPECT_EQ(queues_->purge("q").value(), pushed);
  push("again");
}

TEST_F(QueueTest, PurgeLeavesWhatIsLeasedAndRemoveTakesAll) {
  Consumer consumer(*queues_);
  ASSERT_TRUE(consumer.add("q", false).ok());
  for (int i = 0; i < 1000; ++i)
    push(std::to_string(i), static_cast<uint32_t>(i % 10), i % 3 == 1 ? ~uint64_t{0} >> 8 : 0);
  const Delivery held = *take(consumer);
  EXPECT_EQ(queues_->purge("q").value(), 999u);
  EXPECT_EQ(stats().leased, 1u);
  expect_whole();
  EXPECT_EQ(queues_->remove("q").value(), 0u);
  EXPECT_FALSE(queues_->stats("q").value());
  EXPECT_FALSE(consumer.ack(tag_of(held)).value());
  push("anew");
  EXPECT_EQ(take_data(consumer), "anew") << "the consumer takes part in the queue of that name";
}

TEST_F(QueueTest, AQueueOfEachDatabaseAndAnExchangeOfTheSameNameAreFourThings) {
  TaskQueues other(*process_, 1);
  push("zero");
  ASSERT_TRUE(other.push("q", {"one"}).ok());
  ASSERT_TRUE(queues_->bind("q", "k", "", "q").ok());
  ASSERT_TRUE(other.bind("q", "k2", "", "q").ok());
  EXPECT_EQ(queues_->routes("q").value().at(0).key, "k");
  EXPECT_EQ(other.routes("q").value().at(0).key, "k2");
  Consumer consumer(other);
  ASSERT_TRUE(consumer.add("q", true).ok());
  EXPECT_EQ(take_data(consumer), "one");
  EXPECT_EQ(all_queues(*process_).value().size(), 2u);
}

TEST_F(QueueTest, ABindingIsForgottenWhenItsQueueIsFoundGone) {
  ASSERT_TRUE(queues_->bind("events", "task.#", "^task", "watch1").ok());
  ASSERT_TRUE(queues_->bind("events", "task.#", "^task", "watch1").ok());
  ASSERT_TRUE(queues_->bind("events", "#", "", "watch2").ok());
  std::vector<Route> routes = queues_->routes("events").value();
  ASSERT_EQ(routes.size(), 2u);
  EXPECT_EQ(queues_->push_routes("events", routes, {"hello"}).value(), PushResult::kPushed);
  ASSERT_TRUE(queues_->remove("watch1").ok());
  push("other", 0, 0, "watch1");  // a queue of that name, but another one
  EXPECT_EQ(queues_->push_routes("events", routes, {"hello"}).value(), PushResult::kPushed);
  EXPECT_EQ(queues_->routes("events").value().size(), 1u);
  EXPECT_EQ(stats("watch1").ready, 1u);
  EXPECT_EQ(stats("watch2").ready, 2u);
  ASSERT_TRUE(queues_->unbind("events", "#", "", "watch2").ok());
  EXPECT_TRUE(queues_->routes("events").value().empty());
}

TEST_F(QueueTest, AQueueThatIsMadeAnewBetweenTransactionsOfABindIsTheOneThatIsBound) {
  if (!test::Steps::supported()) return;
  Worker other(attach());
  behind(
      1, "mailbox", [&] { EXPECT_TRUE(queues_->bind("events", "key", "", "mailbox").ok()); },
      [&] {
        EXPECT_TRUE(other.queues.remove("mailbox").ok());
        EXPECT_TRUE(other.queues.bind("events", "key", "", "mailbox").ok());
      });
  for (uint64_t published = 1; published <= 2; ++published) {
    EXPECT_EQ(queues_->push_routes("events", queues_->routes("events").value(), {"x"}).value(), PushResult::kPushed);
    EXPECT_EQ(stats("mailbox").ready, published);
  }
}

TEST_F(QueueTest, AFanoutReachesAllItsQueuesOrNone) {
  std::vector<std::string> names;
  for (int i = 0; i < 40; ++i) names.push_back("mailbox" + std::to_string(i));
  for (const std::string& name : names) ASSERT_TRUE(queues_->bind("all", "", "", name).ok());
  const std::vector<Route> routes = queues_->routes("all").value();
  EXPECT_EQ(queues_->push_routes("all", routes, {"to all", 3}).value(), PushResult::kPushed);
  for (const std::string& name : names) EXPECT_EQ(stats(name).ready, 1u);

  ASSERT_TRUE(queues_->declare("full", {.max_length = 1, .drop_head = false}).ok());
  push("1", 0, 0, "full");
  ASSERT_TRUE(queues_->bind("all", "", "", "full").ok());
  EXPECT_EQ(queues_->push_routes("all", queues_->routes("all").value(), {"x"}).value(), PushResult::kRefused);
  const std::string large(2 * kMiB, 'x');  // 40 of them do not fit
  EXPECT_EQ(queues_->push_routes("all", routes, {large}).status().code(), Code::kFull);
  for (const std::string& name : names) EXPECT_EQ(stats(name).ready, 1u);

  for (const std::string& name : names) ASSERT_TRUE(queues_->remove(name).ok());
  EXPECT_EQ(queues_->push_routes("all", routes, {"x"}).value(), PushResult::kGone);
  EXPECT_EQ(queues_->routes("all").value().size(), 1u);
}

TEST_F(QueueTest, AFanoutWakesAConsumerOfEachQueue) {
  constexpr size_t kQueues = 2 * kWakesMax;
  std::vector<std::unique_ptr<Consumer>> consumers;
  for (size_t i = 0; i < kQueues; ++i) {
    const std::string name = "mailbox" + std::to_string(i);
    consumers.push_back(std::make_unique<Consumer>(*queues_));
    ASSERT_TRUE(consumers.back()->add(name, true).ok());
    ASSERT_TRUE(queues_->bind("all", "", "", name).ok());
    ASSERT_EQ(consumers.back()->listen().value(), 0);
  }
  ASSERT_EQ(queues_->push_routes("all", queues_->routes("all").value(), {"x"}).value(), PushResult::kPushed);
  for (size_t i = 0; i < kQueues; ++i) EXPECT_EQ(stats("mailbox" + std::to_string(i)).waiting, 0u);
}

TEST_F(QueueTest, AnUnusedQueueGoesAfterItsTimeAndNotBefore) {
  ASSERT_TRUE(queues_->declare("reply", {.expires_ms = 10'000}).ok());
  ASSERT_TRUE(queues_->declare("used", {.expires_ms = 10'000}).ok());
  ASSERT_TRUE(queues_->declare("kept", {}).ok());
  std::optional<Consumer> consumer(std::in_place, *queues_);
  ASSERT_TRUE(consumer->add("used", false).ok());
  set_wall_clock_offset_ms(5'000);
  ASSERT_TRUE(expire_queues(*process_).ok());
  EXPECT_TRUE(queues_->stats("reply").value());
  set_wall_clock_offset_ms(11'000);
  ASSERT_TRUE(expire_queues(*process_).ok());
  EXPECT_FALSE(queues_->stats("reply").value());
  EXPECT_TRUE(queues_->stats("used").value());
  EXPECT_TRUE(queues_->stats("kept").value());
  set_wall_clock_offset_ms(0);
}

TEST_F(QueueTest, AQueueThatIsUsedBetweenTransactionsOfItsExpiryStaysWithWhatIsLeft) {
  if (!test::Steps::supported()) return;
  constexpr uint64_t kTasks = 40;
  for (const int transactions : {1, 2, 3}) {  // it was listed; a batch is gone; two are
    ASSERT_TRUE(queues_->declare("reply", {.expires_ms = 10'000}).ok());
    for (uint64_t i = 0; i < kTasks; ++i) push("old", 0, 0, "reply");
    set_wall_clock_offset_ms(11'000);
    Worker user(attach());
    behind(
        transactions, "reply", [&] { EXPECT_TRUE(expire_queues(*process_).ok()); },
        [&] {
          EXPECT_TRUE(user.consumer->add("reply", true).ok());
          EXPECT_EQ(user.queues.push("reply", {"new"}).value(), PushResult::kPushed);
        });
    EXPECT_EQ(stats("reply").ready, kTasks - static_cast<uint64_t>(transactions - 1) * kBatch + 1);
    std::string last;
    while (auto delivery = take(*user.consumer)) last = delivery->data;
    EXPECT_EQ(last, "new") << "deleted behind transaction " << transactions;
    user.consumer.reset();
    set_wall_clock_offset_ms(22'000);
    ASSERT_TRUE(expire_queues(*process_).ok());
    EXPECT_FALSE(queues_->stats("reply").value());
    set_wall_clock_offset_ms(0);
  }
}

// Giving back in the worst order is O(log n): in a list it would take half an hour and meet the test's time limit.
TEST_F(QueueTest, AHundredThousandTasksComeBackBackwardsInTime) {
  options_.max_size = 512 * kMiB;
  TearDown();
  SetUp();
  Consumer consumer(*queues_);
  ASSERT_TRUE(consumer.add("q", false).ok());
  for (int i = 0; i < 200'000; ++i) push("a task of a few bytes");
  std::vector<LeaseTag> held;
  for (int i = 0; i < 100'000; ++i) held.push_back(tag_of(*take(consumer)));
  for (size_t i = 0; i < held.size(); i += 2) std::swap(held[i], held[held.size() - 1 - i]);
  for (const LeaseTag& tag : held) ASSERT_TRUE(consumer.reject(tag, true).value());
  EXPECT_EQ(stats().ready, 200'000u);
  ASSERT_TRUE(consumer.close().ok());
}

TEST_F(QueueTest, WhoRemovesAQueueWakesAllWhoSleepForIt) {
  constexpr int kSleepers = 2 * kWakesMax + 3;
  std::barrier asleep(kSleepers + 1), removed(kSleepers + 1);
  std::atomic<int> woken{0};
  std::vector<std::thread> sleepers;
  for (int i = 0; i < kSleepers; ++i) {
    sleepers.emplace_back([&] {
      Consumer consumer(*queues_);
      EXPECT_TRUE(consumer.add("q", false).ok());
      shm::Context& self = *process_->context().value();
      ThreadSleep sleep(*process_, self);
      sleep.prepare();
      EXPECT_EQ(consumer.listen().value(), 0);
      asleep.arrive_and_wait();
      removed.arrive_and_wait();
      woken += self.asleep.load() % 2 == 0;
    });
  }
  asleep.arrive_and_wait();
  EXPECT_TRUE(queues_->remove("q").ok());
  removed.arrive_and_wait();
  for (std::thread& sleeper : sleepers) sleeper.join();
  EXPECT_EQ(woken.load(), kSleepers);
}

TEST_F(QueueTest, CheckSaysWhereALinkLeadsBackAndComesToAnEnd) {
  for (const char* each : {"a", "b", "c"}) push(each);
  push(std::string(2 * kBlockMax, 'd'));  // in pieces
  Consumer consumer(*queues_);
  ASSERT_TRUE(consumer.take_from("q", false).value().has_value());
  ASSERT_TRUE(queues_->bind("x", "key", "", "q").ok());
  const auto named = [&](shm::NamedKind kind, Bytes name) { return find_named(*segment_, {*segment_, kind, 0, name}); };
  const auto& queue = *segment_->pointer<shm::Queue>(named(shm::NamedKind::kQueue, "q"));
  const auto& exchange = *segment_->pointer<shm::Exchange>(named(shm::NamedKind::kExchange, "x"));
  const auto expect_end = [&](const char* what, const uint64_t& link, uint64_t back) {
    auto& word = const_cast<uint64_t&>(link);
    const uint64_t sound = std::exchange(word, back);
    CheckReport report;
    for (uint32_t shard = 0; shard < segment_->shard_count(); ++shard) check(*segment_, shard, report);
    word = sound;
    EXPECT_FALSE(report.problems.empty()) << what;
  };
  const uint64_t first = queue.ready[0].first, last = queue.ready[0].last;
  expect_end("list", segment_->pointer<shm::Task>(last)->right, first);
  const uint64_t piece = segment_->pointer<shm::Task>(last)->more;
  ASSERT_NE(piece, 0u);
  expect_end("pieces", segment_->pointer<shm::Piece>(piece)->next, piece);
  expect_end("holders", segment_->pointer<shm::Holder>(queue.consumers)->next, queue.consumers);
  const uint64_t lease = segment_->pointer<shm::Holder>(queue.consumers)->leases;
  expect_end("tree, to the right", segment_->pointer<shm::Task>(lease)->right, lease);
  expect_end("tree, to the left", segment_->pointer<shm::Task>(lease)->left, lease);
  expect_end("bindings", segment_->pointer<shm::Binding>(exchange.bindings)->next, exchange.bindings);
}

}  // namespace
}  // namespace shoal::queues
