// SPDX-License-Identifier: MIT
// An operation that kills every process that tries it, in a shard whose other keys are in use all the time.
#include <gtest/gtest.h>

#include <csignal>
#include <string>
#include <vector>

#include "channels/directory.h"
#include "channels/subscriber.h"
#include "commands/check.h"
#include "keyspace/keyspace.h"
#include "support/process_fixture.h"
#include "support/redis_session.h"
#include "transaction/suspect.h"
#include "types/list.h"

namespace shoal {
namespace {

constexpr const char* kReadOnly =
    "(error) READONLY one operation killed three processes and is refused, and so is all that writes to the same part "
    "of the keys; `shoal check` says which, `shoal repair` helps";

class Poison : public ::testing::Test {
 protected:
  Poison() {
    r("RPUSH bad a b c");
    r("RPUSH " + neighbour_ + " x");
    sound_head_ = bad_root().head;
    bad_root().head = uint64_t{1} << 40;  // leads out of every mapping
  }

  shm::ListRoot& bad_root() {
    const Key key = keyspace::make_key(segment.segment(), 0, "bad");
    const shm::Entry* entry = keyspace::find(segment.segment(), key);
    return const_cast<shm::ListRoot&>(entry->root<shm::ListRoot>());
  }
  uint32_t bad_shard() { return keyspace::make_key(segment.segment(), 0, "bad").shard; }
  // Another key of the same shard, and one of another.
  std::string key_where(bool same) {
    for (int i = 0;; ++i) {
      const std::string name = "key" + std::to_string(i);
      if ((keyspace::make_key(segment.segment(), 0, name).shard == bad_shard()) == same) return name;
    }
  }

  // A process that runs it: 0 = it lived.
  int try_it(const std::string& command) {
    Child child([&] {
      std::signal(SIGSEGV, SIG_DFL);
      TestSession mine(segment.attach());
      mine(command);
      return 0;
    });
    return child.wait();
  }

  TestSegment segment;
  TestSession r{segment};
  const std::string neighbour_ = key_where(true), elsewhere_ = key_where(false);
  uint64_t sound_head_ = 0;
};

TEST_F(Poison, IsStoppedAfterThreeDeathsAndTheRestGoesOn) {
  for (int deaths = 0; deaths < 3; ++deaths) {
    EXPECT_EQ(try_it("LPUSH bad x"), 128 + SIGSEGV);
    EXPECT_EQ(r("LRANGE " + neighbour_ + " 0 -1"), "[x]") << deaths;
  }
  EXPECT_EQ(try_it("LPUSH bad x"), 0);
  EXPECT_EQ(r("LPUSH bad x"), kReadOnly);
  EXPECT_EQ(r("LPUSH " + neighbour_ + " y"), kReadOnly);
  EXPECT_EQ(r("LRANGE " + neighbour_ + " 0 -1"), "[x]");
  EXPECT_EQ(r("LPUSH " + elsewhere_ + " y"), "1");
  EXPECT_EQ(r("MULTI"), "OK");
  r("LPUSH " + elsewhere_ + " z");
  r("LPUSH " + neighbour_ + " z");
  EXPECT_EQ(r("EXEC"), kReadOnly);
  EXPECT_EQ(r("LRANGE " + elsewhere_ + " 0 -1"), "[y]");
}

TEST_F(Poison, ThatOnlyReadsIsStoppedToo) {
  for (int deaths = 0; deaths < 3; ++deaths) EXPECT_EQ(try_it("LRANGE bad 0 -1"), 128 + SIGSEGV);
  EXPECT_EQ(try_it("LRANGE bad 0 -1"), 0);
  EXPECT_EQ(r("LRANGE bad 0 -1"), kReadOnly);
}

// Publishing takes its lock without a transaction.
class PoisonedChannel : public Poison {
 protected:
  PoisonedChannel() {
    (void)channels::configure(*segment.process(), "room", {5, 0}, kLockBudgetNs);
    room_ = channels::name_of(segment.segment(), channels::ChannelKind::kChannel, "room");
  }
  void lead_subscribers_to(uint64_t offset) {
    const shm::Channel& channel = *channels::find(segment.segment(), room_);
    channels::protocol_words(channel).subscribers = offset;
  }
  channels::Name room_;
};

TEST_F(PoisonedChannel, IsStoppedAfterThreeDeathsOfItsPublishers) {
  lead_subscribers_to(uint64_t{1} << 40);
  for (int deaths = 0; deaths < 3; ++deaths) EXPECT_EQ(try_it("PUBLISH room x"), 128 + SIGSEGV);
  EXPECT_EQ(try_it("PUBLISH room x"), 0);
  lead_subscribers_to(0);
  EXPECT_EQ(r("PUBLISH room x"), kReadOnly);
  ASSERT_TRUE(repair_locked(*segment.process(), true, kLockBudgetNs).ok());
  EXPECT_EQ(r("PUBLISH room x"), "0");
}

TEST_F(PoisonedChannel, IsNoneIfAPublisherSurvivesIt) {
  for (int deaths = 0; deaths < 6; ++deaths) {
    lead_subscribers_to(uint64_t{1} << 40);
    EXPECT_EQ(try_it("PUBLISH room x"), 128 + SIGSEGV);
    lead_subscribers_to(0);
    if (deaths % 2 == 0) continue;
    EXPECT_EQ(r("PUBLISH room x"), "0");
  }
  EXPECT_FALSE(suspect::read_only(segment.segment().shard(room_.shard)));
}

TEST_F(Poison, DeathsInBetweenWhichSomebodySurvivedDoNotCount) {
  for (int deaths = 0; deaths < 6; ++deaths) {
    EXPECT_EQ(try_it("LPUSH bad x"), 128 + SIGSEGV);
    if (deaths % 2 == 0) continue;
    bad_root().head = sound_head_;
    EXPECT_EQ(r("LPUSH bad x"), std::to_string(4 + deaths / 2));
    sound_head_ = bad_root().head;
    bad_root().head = uint64_t{1} << 40;
  }
  EXPECT_FALSE(suspect::read_only(segment.segment().shard(bad_shard())));
}

TEST_F(Poison, OthersWhoSucceedInTheShardDoNotHideIt) {
  for (int deaths = 0; deaths < 3; ++deaths) {
    EXPECT_EQ(try_it("LPUSH bad x"), 128 + SIGSEGV);
    EXPECT_EQ(r("LPUSH " + neighbour_ + " y"), deaths < 2 ? std::to_string(deaths + 2) : kReadOnly);
  }
}

TEST_F(Poison, CheckSaysWhatItIsAndRepairReopensWhatIsSound) {
  for (int deaths = 0; deaths < 3; ++deaths) EXPECT_EQ(try_it("LPUSH bad x"), 128 + SIGSEGV);
  auto damaged = repair_locked(*segment.process(), false, kLockBudgetNs);
  ASSERT_TRUE(damaged.ok());
  EXPECT_FALSE(damaged.value().sound());
  EXPECT_EQ(r("LPUSH " + neighbour_ + " y"), kReadOnly) << "a damaged segment is not reopened";

  bad_root().head = sound_head_;
  auto report = check_locked(*segment.process(), kLockBudgetNs);
  ASSERT_TRUE(report.ok());
  EXPECT_FALSE(report.value().clean());
  EXPECT_TRUE(report.value().sound());
  ASSERT_EQ(report.value().convictions.size(), 1u);
  EXPECT_EQ(describe(report.value().convictions[0]),
            "LPUSH on the key \"bad\" killed three processes and is refused in shard " + std::to_string(bad_shard()) +
                ", which takes no writes");

  ASSERT_TRUE(repair_locked(*segment.process(), false, kLockBudgetNs).ok());
  EXPECT_EQ(r("LPUSH bad x"), "4");
  EXPECT_TRUE(check_locked(*segment.process(), kLockBudgetNs).value().clean());
}

TEST_F(Poison, RepairByForceReopensADamagedSegment) {
  for (int deaths = 0; deaths < 3; ++deaths) EXPECT_EQ(try_it("LPUSH bad x"), 128 + SIGSEGV);
  ASSERT_TRUE(repair_locked(*segment.process(), true, kLockBudgetNs).ok());
  EXPECT_EQ(r("LPUSH " + neighbour_ + " y"), "2");
}

// A recoverer may die after it counted and before the lock fell.
TEST(Suspect, ADeathIsCountedOnceHoweverManyRecover) {
  TestSegment segment;
  shm::Shard& shard = segment.segment().control_shard(1);
  shm::Context dead{};
  Purpose{7, false, 99}.announce(dead);
  for (int recoverers = 0; recoverers < 5; ++recoverers) suspect::note_death(shard, dead, 1234, 0);
  EXPECT_EQ(suspect::deaths(shard), 1u);
  suspect::note_death(shard, dead, 1235, 0);
  EXPECT_EQ(suspect::deaths(shard), 2u);
  Purpose{8, false, 99}.announce(dead);
  suspect::note_death(shard, dead, 1236, 0);
  EXPECT_EQ(suspect::deaths(shard), 1u) << "another operation is the suspect now";
}

TEST(Suspect, DeathsThatLieFarApartHaveNothingToDoWithEachOther) {
  TestSegment segment;
  shm::Shard& shard = segment.segment().control_shard(1);
  shm::Context dead{}, other{};
  Purpose{7, false, 99}.announce(dead);
  Purpose{8, false, 98}.announce(other);
  constexpr int64_t kStep = suspect::kForgottenMs;
  for (uint32_t i = 1; i <= 9; ++i) suspect::note_death(shard, dead, i, i * (kStep + 1));
  EXPECT_EQ(suspect::deaths(shard), 1u);
  EXPECT_TRUE(suspect::admit(shard, other, false, 9 * (kStep + 1) + kStep).ok());
  EXPECT_EQ(suspect::deaths(shard), 1u);
  EXPECT_TRUE(suspect::admit(shard, other, false, 9 * (kStep + 1) + kStep + 1).ok());
  EXPECT_EQ(suspect::deaths(shard), 0u) << "the shard is as fast as before for everybody";
  for (uint32_t i = 1; i <= 3; ++i) suspect::note_death(shard, dead, 20 + i, 20 * kStep + i * kStep);
  EXPECT_FALSE(suspect::admit(shard, other, false, 100 * kStep).ok()) << "a conviction stays";
}

TEST(Suspect, WhatNamesNoKeyIsRefusedAloneAndACheckIsNone) {
  TestSegment segment;
  shm::Shard& shard = segment.segment().control_shard(1);
  shm::Context flush{}, push{}, check{}, nothing{};
  Purpose{7}.announce(flush);
  Purpose{8, false, 99}.announce(push);
  Purpose{Purpose::kCheck, true}.announce(check);
  for (uint32_t dead = 1; dead <= suspect::kDeathsMax; ++dead) {
    suspect::note_death(shard, check, dead, 0);
    suspect::note_death(shard, nothing, dead, 0);
    EXPECT_EQ(suspect::deaths(shard), dead - 1);
    suspect::note_death(shard, flush, dead, 0);
  }
  EXPECT_FALSE(suspect::admit(shard, flush, false, 0).ok());
  EXPECT_TRUE(suspect::admit(shard, push, false, 0).ok());
  EXPECT_TRUE(suspect::admit(shard, check, true, 0).ok());
}

}  // namespace
}  // namespace shoal
