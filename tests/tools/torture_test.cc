// SPDX-License-Identifier: MIT
// `shoal torture` finds nothing in a sound Shoal, and what somebody breaks behind its back.
#include "tools/torture/torture.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>

#include "queues/consumer.h"
#include "support/fresh_name.h"
#include "support/redis_session.h"
#include "tools/torture/registers.h"
#include "transaction/suspect.h"
#include "transaction/transaction.h"

namespace shoal::tool {
namespace {

using chaos::Talk;

class TortureTest : public ::testing::Test {
 protected:
  TortureTest() {
    options_.seconds = 1;
    options_.workers = 3;
    options_.name = fresh_name("torture_test").name();
  }
  // After a run in which `meddle` had a hand before the last look: the whole document, as text.
  std::string violations_after(std::function<void(Process&)> meddle) {
    options_.meddle = std::move(meddle);
    auto result = torture(options_);
    EXPECT_TRUE(result.ok()) << describe(result.status());
    if (!result.ok()) return "";
    EXPECT_EQ(result.value()["ok"], false);
    EXPECT_FALSE(result.value().contains("doing")) << "stuck: " << result.value()["doing"].dump(1);
    return result.value()["violations"].dump();
  }
  // Of a phase; gives the longest.
  static double expect_percentiles_in_order(const Json& phase, const std::string& of) {
    double longest = 0;
    for (const char* name : {"p50_us", "p99_us", "p99.9_us", "max_us"}) {
      EXPECT_TRUE(phase.contains(of + name)) << of << name << phase.dump();
      const double us = phase.value(of + name, 0.0);
      EXPECT_GE(us, longest) << of << name << phase.dump();
      longest = us;
    }
    return longest;
  }
  bool segment_is_there() const { return ::access(("/dev/shm/shoal." + options_.name).c_str(), F_OK) == 0; }

  TortureOptions options_;
};

// The Process belongs to the run; a Talk wants a share of it.
std::shared_ptr<Process> borrowed(Process& process) { return {std::shared_ptr<Process>{}, &process}; }

TEST_F(TortureTest, ARunFindsNothingAndLeavesNothing) {
  auto result = torture(options_);
  ASSERT_TRUE(result.ok()) << describe(result.status());
  EXPECT_EQ(result.value()["ok"], true) << result.value()["violations"].dump(1) << result.value()["seed"];
  EXPECT_GT(result.value()["operations"], 0);
  EXPECT_GT(result.value()["kills"], 0);
  EXPECT_FALSE(segment_is_there());
}

TEST_F(TortureTest, EachPhaseSaysHowLongOperationsAndWaitsForALockTook) {
  auto result = torture(options_);
  ASSERT_TRUE(result.ok()) << describe(result.status());
  ASSERT_EQ(result.value()["phases"].size(), 3u);
  double operation = 0, lock_wait = 0;
  for (const Json& phase : result.value()["phases"]) {
    operation = std::max(operation, expect_percentiles_in_order(phase, ""));
    lock_wait = std::max(lock_wait, expect_percentiles_in_order(phase, "lock_"));
  }
  EXPECT_GT(operation, 0);
  EXPECT_GT(lock_wait, 0);
}

// Whoever kills at random, kills one operation three times in a row now and then.
TEST_F(TortureTest, AConvictionIsLiftedAndCounted) {
  options_.meddle = [](Process& process) {
    shm::Context push{};
    Purpose{Purpose::kPushTask, false, 99}.announce(push);
    for (uint32_t dead = 1; dead <= suspect::kDeathsMax; ++dead)
      suspect::note_death(process.segment().control_shard(0), push, dead, 0);
  };
  auto result = torture(options_);
  ASSERT_TRUE(result.ok()) << describe(result.status());
  EXPECT_EQ(result.value()["ok"], true) << result.value()["violations"].dump(1) << result.value()["seed"];
  EXPECT_GE(result.value()["convictions_lifted"], 1);
}

TEST(TortureTalk, LiftsWhatItIsRefusedForAndRepeatsWhatHasNoWatch) {
  TestSegment segment;
  std::atomic<uint64_t> lifted{0};
  Talk talk(segment.process(), lifted);
  const auto convict = [&] {
    shm::Context push{};
    Purpose{Purpose::kPushTask, false, 99}.announce(push);
    for (uint32_t dead = 1; dead <= suspect::kDeathsMax; ++dead) {
      for (uint32_t i = 0; i < segment.segment().shard_count(); ++i)
        suspect::note_death(segment.segment().control_shard(i), push, dead, 0);
    }
  };
  convict();
  EXPECT_EQ(talk({"SET", "a", "1"}).text, "OK");
  EXPECT_EQ(lifted.load(), segment.segment().shard_count());
  convict();
  EXPECT_TRUE(talk.together({{"INCR", "a"}}).refused());
  EXPECT_EQ(talk.together({{"INCR", "a"}}).items.at(0).number, 2);
}

TEST_F(TortureTest, ASegmentThatExistsIsRefusedAndStaysAsItIs) {
  auto segment = Segment::open(SegmentName::parse(options_.name).value(), OpenMode::kAttachOrCreate);
  ASSERT_TRUE(segment.ok());
  auto result = torture(options_);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.status().code(), Code::kInvalidArgument);
  EXPECT_TRUE(segment_is_there());
  leave_nothing_of(SegmentName::parse(options_.name).value());
}

TEST_F(TortureTest, AnAcknowledgedWriteThatIsGoneIsNoticed) {
  const std::string said = violations_after([](Process& process) {
    std::atomic<uint64_t> lifted{0};
    Talk talk(borrowed(process), lifted);
    for (uint32_t reg = 0; reg < chaos::kOfEachKind; ++reg) (void)talk({"DEL", chaos::key("torture:string", 0, reg)});
  });
  EXPECT_NE(said.find("of actor 0: nothing"), std::string::npos) << said;
}

TEST_F(TortureTest, HalfOfATransactionIsNoticed) {
  const std::string said = violations_after([](Process& process) {
    std::atomic<uint64_t> lifted{0};
    Talk talk(borrowed(process), lifted);
    for (uint32_t reg = 0; reg < chaos::kRegisters; ++reg) (void)talk({"DEL", chaos::key("torture:bundle", 0, reg)});
    (void)talk({"INCR", "torture:left"});
  });
  EXPECT_NE(said.find("half of a transaction"), std::string::npos) << said;
  EXPECT_NE(said.find("the pair is"), std::string::npos) << said;
}

TEST_F(TortureTest, ACountThatIsOneTooHighIsNoticed) {
  const std::string said = violations_after([](Process& process) {
    std::atomic<uint64_t> lifted{0};
    Talk talk(borrowed(process), lifted);
    for (uint32_t i = 0; i < 1000; ++i) (void)talk({"INCR", chaos::key("torture:counter", 0)});
  });
  EXPECT_NE(said.find("counter 0 is"), std::string::npos) << said;
}

TEST_F(TortureTest, ATaskThatNobodyRanIsNoticed) {
  const std::string said = violations_after([](Process& process) {
    queues::TaskQueues queues(process, 0);
    (void)queues.push(chaos::kQueue, {chaos::speech(0, 1'000'000'000, chaos::kTaskBytesMax), 0, 0});
  });
  EXPECT_NE(said.find("task 0.1000000000 came again"), std::string::npos) << said;
}

TEST_F(TortureTest, AMessageThatNobodySentIsNoticed) {
  const std::string said = violations_after([](Process& process) {
    std::atomic<uint64_t> lifted{0};
    Talk talk(borrowed(process), lifted);
    for (uint32_t i = 0; i < 1000; ++i) (void)talk({"PUBLISH", chaos::channel_name(1), "x"});
  });
  EXPECT_NE(said.find("room 1: "), std::string::npos) << said;
}

TEST_F(TortureTest, ALostBlockIsNoticed) {
  const std::string said = violations_after([](Process& process) {
    Transaction tx(process, *process.context().value());
    ASSERT_TRUE(tx.begin(1, kLockBudgetNs).ok());
    ASSERT_NE(tx.create<std::byte>(100), nullptr);
    ASSERT_TRUE(tx.commit().ok());
  });
  EXPECT_NE(said.find("lost"), std::string::npos) << said;
}

TEST_F(TortureTest, ALeaseThatNobodyGivesBackIsNoticed) {
  const std::string said = violations_after([](Process& process) {
    // For ever: its process is gone when the run ends, so that nothing may close it.
    static auto* queues = new queues::TaskQueues(process, 0);
    static auto* consumer = new queues::Consumer(*queues);
    ASSERT_TRUE(consumer->add(chaos::kQueue, false).ok());
    for (int i = 0; i < 3; ++i) (void)queues->push(chaos::kQueue, {chaos::speech(0, 5, 10), 0, 0});
    ASSERT_TRUE(consumer->take().ok());
  });
  EXPECT_NE(said.find("leases"), std::string::npos) << said;
}

TEST_F(TortureTest, AHangIsReportedWithWhatEverybodyDoes) {
  options_.stuck_after_ns = 50'000'000;  // some operation takes longer than that when nobody gives a lock
  options_.seconds = 600;
  static std::shared_ptr<Process> holder;  // for ever, as one that hangs does
  options_.progress = [&](const std::string&) {
    if (holder != nullptr) return;
    auto segment = Segment::open(SegmentName::parse(options_.name).value(), OpenMode::kAttach);
    ASSERT_TRUE(segment.ok());
    holder = std::move(Process::attach(std::move(segment).value(), shm::SlotRole::kClient)).value();
    static Transaction* forever = new Transaction(*holder, *holder->context().value());
    ASSERT_TRUE(forever->begin(1, kLockBudgetNs).ok());
  };
  auto result = torture(options_);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result.value()["stuck"], 1);
  EXPECT_NE(result.value()["doing"].dump().find("is locked by pid " + std::to_string(::getpid())), std::string::npos)
      << result.value()["doing"].dump(1);
}

}  // namespace
}  // namespace shoal::tool
