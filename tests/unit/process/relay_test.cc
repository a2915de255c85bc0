// SPDX-License-Identifier: MIT
#include "process/relay.h"

#include <thread>

#include "process/wake.h"
#include "support/process_fixture.h"

namespace shoal {
namespace {

// Contexts of parked threads; the test moves them, one step after the other.
class Relay : public ProcessTest {
 protected:
  void SetUp() override {
    ProcessTest::SetUp();
    tiny_.context_count = 64;
    process_ = attach();
  }
  void TearDown() override {
    for (Sleeper& sleeper : sleepers_) {
      sleeper.leave->send();
      sleeper.thread.join();
    }
    process_.reset();
    ProcessTest::TearDown();
  }
  void put_to_sleep(int count) {
    for (int i = 0; i < count; ++i) {
      Sleeper sleeper;
      Signal there;
      sleeper.leave = std::make_unique<Signal>();
      sleeper.thread = std::thread([&, leave = sleeper.leave.get()] {
        sleeper.context = process_->context().value();
        there.send();
        leave->receive();
      });
      there.receive();
      sleeper.id = sleeper.context->id;
      sleeper.context->asleep.fetch_add(1);
      sleepers_.push_back(std::move(sleeper));
    }
  }
  void publish_to_all() {
    Sleepers them(process_->segment());
    for (const Sleeper& sleeper : sleepers_) them.add(sleeper.id);
    them.wake(*process_);
  }
  bool asleep(size_t i) const { return sleepers_[i].context->asleep.load() % 2 != 0; }
  size_t asleep() const {
    size_t count = 0;
    for (size_t i = 0; i < sleepers_.size(); ++i) count += asleep(i);
    return count;
  }
  void pass_on(size_t i) { relay::pass_on(*process_, *sleepers_[i].context); }

  struct Sleeper {
    std::thread thread;
    std::unique_ptr<Signal> leave;
    shm::Context* context = nullptr;
    uint32_t id = 0;
  };
  std::shared_ptr<Process> process_;
  std::vector<Sleeper> sleepers_;
};

TEST_F(Relay, FourSleepersAreWokenByThePublisherAndOweNothing) {
  put_to_sleep(4);
  publish_to_all();
  EXPECT_EQ(asleep(), 0u);
  for (const Sleeper& sleeper : sleepers_) EXPECT_EQ(sleeper.context->relay.load(), 0u);
}

TEST_F(Relay, AFifthAndMoreAreWokenByThoseWhoWereWoken) {
  put_to_sleep(12);
  publish_to_all();
  EXPECT_EQ(asleep(), 8u) << "the publisher pays for four";
  pass_on(1);
  EXPECT_EQ(asleep(), 4u) << "so does each that was woken";
  pass_on(1);
  EXPECT_EQ(asleep(), 4u) << "once";
  pass_on(0);
  EXPECT_EQ(asleep(), 0u);
  for (size_t i = 0; i < sleepers_.size(); ++i) pass_on(i);
  for (const Sleeper& sleeper : sleepers_) EXPECT_EQ(sleeper.context->relay.load(), 0u);
}

TEST_F(Relay, AnyOneOfTheWokenBringsTheWakeToAll) {
  put_to_sleep(40);
  publish_to_all();
  std::vector<bool> passed(sleepers_.size());
  passed[0] = passed[1] = passed[2] = true;  // three of the four are stopped, say
  for (bool more = true; more;) {
    more = false;
    for (size_t i = 0; i < sleepers_.size(); ++i) {
      if (asleep(i) || passed[i]) continue;
      pass_on(i);
      passed[i] = more = true;
    }
  }
  EXPECT_EQ(asleep(), 0u);
}

TEST_F(Relay, APublisherWhoseFirstFourWokeUpThemselvesWakesOthers) {
  put_to_sleep(12);
  Sleepers them(process_->segment());
  for (const Sleeper& sleeper : sleepers_) them.add(sleeper.id);
  for (size_t i = 0; i < 4; ++i) sleepers_[i].context->asleep.fetch_add(1);
  them.wake(*process_);
  EXPECT_EQ(asleep(), 4u);
  for (size_t i = 0; i < sleepers_.size(); ++i) pass_on(i);
  EXPECT_EQ(asleep(), 0u);
}

TEST_F(Relay, ASweepTakesWhatWasLeft) {
  put_to_sleep(30);
  publish_to_all();
  EXPECT_EQ(asleep(), 26u);
  relay_all(*process_, *process_->context().value());
  EXPECT_EQ(asleep(), 0u);
}

TEST_F(Relay, AContextsNextThreadOwesNothing) {
  put_to_sleep(1);
  shm::Context& context = *sleepers_[0].context;
  context.relay = relay::kLeft | relay::kPassOn;
  sleepers_[0].leave->send();
  sleepers_[0].thread.join();
  sleepers_.clear();
  for (int i = 0; i < 56 && context.id.load() == 0; ++i) put_to_sleep(1);
  ASSERT_NE(context.id.load(), 0u) << "nobody took the context";
  EXPECT_EQ(context.relay.load(), 0u);
}

// A publisher that was held up between seeing who sleeps and waking them.
TEST_F(Relay, AWakeForAFormerThreadLeavesTheMarkOfTheNext) {
  put_to_sleep(5);
  Sleepers them(process_->segment());
  for (const Sleeper& sleeper : sleepers_) them.add(sleeper.id);
  shm::Context& context = *sleepers_[0].context;
  sleepers_[0].leave->send();
  sleepers_[0].thread.join();
  sleepers_.erase(sleepers_.begin());
  for (int i = 0; i < 56 && context.id.load() == 0; ++i) put_to_sleep(1);
  ASSERT_NE(context.id.load(), 0u) << "nobody took the context";
  context.relay = relay::kLeft;
  them.wake(*process_);
  EXPECT_EQ(context.asleep % 2, 1u);
  EXPECT_NE(context.relay & relay::kLeft, 0u) << "whoever passes the wake on does not find it";
}

}  // namespace
}  // namespace shoal
