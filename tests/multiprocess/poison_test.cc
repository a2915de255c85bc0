// SPDX-License-Identifier: MIT
// An operation that kills every process that tries it, in a shard whose other keys are in use all the time.
#include <gtest/gtest.h>

#include <shoal/shoal.h>

#include <csignal>
#include <string>
#include <vector>

#include "channels/directory.h"
#include "channels/subscriber.h"
#include "commands/check.h"
#include "commands/reap.h"
#include "keyspace/keyspace.h"
#include "queues/consumer.h"
#include "queues/directory.h"
#include "support/process_fixture.h"
#include "support/redis_session.h"
#include "transaction/suspect.h"
#include "types/list.h"

namespace shoal {
namespace {

const std::string kRefused =
    "READONLY one operation killed three processes: it is refused, and so is all that works on its key or writes to "
    "the same part of the keys; `shoal check` says which, `shoal repair` helps";
const std::string kReadOnly = "(error) " + kRefused;
constexpr uint64_t kNowhere = uint64_t{1} << 40;  // leads out of every mapping

class Poison : public ::testing::Test {
 protected:
  Poison() {
    r("RPUSH bad a b c");
    r("RPUSH " + neighbour_ + " x");
    sound_head_ = bad_root().head;
    bad_root().head = kNowhere;
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

  // A process that does it: 0 = it lived. An address that is none at all (kNowhere is past the user's half, where the
  // segment lies high) is SIGBUS if it was reached through the stack's registers.
  template <typename Body>
  static int try_to(Body&& body) {
    Child child([&] {
      std::signal(SIGSEGV, SIG_DFL);
      std::signal(SIGBUS, SIG_DFL);
      body();
      return 0;
    });
    const int died = child.wait();
    return died == 128 + SIGBUS ? 128 + SIGSEGV : died;
  }
  int try_it(const std::string& command) {
    return try_to([&] {
      TestSession mine(segment.attach());
      mine(command);
    });
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
  lead_subscribers_to(kNowhere);
  for (int deaths = 0; deaths < 3; ++deaths) EXPECT_EQ(try_it("PUBLISH room x"), 128 + SIGSEGV);
  EXPECT_EQ(try_it("PUBLISH room x"), 0);
  lead_subscribers_to(0);
  EXPECT_EQ(r("PUBLISH room x"), kReadOnly);
  ASSERT_TRUE(repair_locked(*segment.process(), true, kLockBudgetNs).ok());
  EXPECT_EQ(r("PUBLISH room x"), "0");
}

TEST_F(PoisonedChannel, IsNoneIfAPublisherSurvivesIt) {
  for (int deaths = 0; deaths < 6; ++deaths) {
    lead_subscribers_to(kNowhere);
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
    bad_root().head = kNowhere;
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

TEST_F(Poison, IsOneHoweverManyOperationsOnItsKeyKill) {
  for (const char* command : {"LRANGE bad 0 -1", "LPUSH bad x", "LPOP bad"}) EXPECT_EQ(try_it(command), 128 + SIGSEGV);
  for (const char* command : {"LRANGE bad 0 -1", "LPUSH bad x", "LPOP bad"}) {
    EXPECT_EQ(try_it(command), 0);
    EXPECT_EQ(r(command), kReadOnly);
  }
  EXPECT_EQ(r("LRANGE " + neighbour_ + " 0 -1"), "[x]");
}

TEST_F(Poison, SomebodyWhoSurvivesAnotherOperationOnTheKeyDoesNotHideIt) {
  for (int deaths = 0; deaths < 3; ++deaths) {
    EXPECT_EQ(try_it("LPUSH bad x"), 128 + SIGSEGV);
    EXPECT_EQ(r("TYPE bad"), deaths < 2 ? "list" : kReadOnly);
    EXPECT_EQ(r("EXPIRE bad 100"), deaths < 2 ? "1" : kReadOnly);
  }
  EXPECT_EQ(r("LPUSH bad x"), kReadOnly);
}

TEST_F(Poison, OneOfItsCommandsThatIsRefusedForWhatItSaysDoesNotHideIt) {
  for (int deaths = 0; deaths < 3; ++deaths) {
    EXPECT_EQ(try_it("LPOP bad"), 128 + SIGSEGV);
    EXPECT_EQ(r("LPOP bad x").substr(0, 7), "(error)");
  }
  EXPECT_EQ(try_it("LPOP bad"), 0);
}

TEST_F(Poison, IsStoppedInATransactionWhateverElseThatDoes) {
  const auto exec = [&](const std::vector<std::string>& commands) {
    return try_to([&] {
      TestSession mine(segment.attach());
      mine("MULTI");
      for (const std::string& command : commands) mine(command);
      mine("EXEC");
    });
  };
  for (int deaths = 0; deaths < 3; ++deaths) {
    EXPECT_EQ(exec({"LPUSH bad x", "SET request" + std::to_string(deaths) + " 1"}), 128 + SIGSEGV);
    EXPECT_EQ(exec({"EXPIRE bad 100", "LLEN bad"}), 0);
  }
  EXPECT_EQ(exec({"LPUSH bad x", "SET request 1"}), 0);
  EXPECT_EQ(exec({"GET request", "LRANGE bad 0 -1"}), 0) << "this one only reads";
  EXPECT_EQ(r("EXISTS " + elsewhere_ + " bad"), kReadOnly) << "it is not the first key";
}

TEST_F(Poison, IsStoppedInATransactionAlsoWhereItNamesNoKey) {
  const Key key = keyspace::make_key(segment.segment(), 0, "bad");
  const uint64_t entry = segment.segment().offset_of(keyspace::find(segment.segment(), key));
  auto& slot = const_cast<Dict::Slot&>(*Dict::find(segment.segment(), segment.segment().shard(key.shard).keys, key.hash,
                                                   [entry](uint64_t item) { return item == entry; }));
  slot = Dict::make_slot(key.hash, kNowhere);
  const auto exec = [&](const std::string& command) {
    return try_to([&] {
      TestSession mine(segment.attach());
      mine("MULTI");
      mine(command);
      mine("EXEC");
    });
  };
  for (int deaths = 0; deaths < 3; ++deaths) EXPECT_EQ(try_it("KEYS *"), 128 + SIGSEGV);
  EXPECT_EQ(exec("KEYS *"), 0);
  EXPECT_EQ(exec("DBSIZE"), 0);
  slot = Dict::make_slot(key.hash, entry);
}

TEST_F(Poison, ASortIsLaidAtItsKey) {
  for (int deaths = 0; deaths < 3; ++deaths) {
    EXPECT_EQ(try_it("SORT bad ALPHA"), 128 + SIGSEGV);
    EXPECT_EQ(r("SORT " + neighbour_ + " ALPHA"), deaths < 2 ? "[x]" : kReadOnly) << "which may store";
  }
  EXPECT_EQ(r("LPUSH bad x"), kReadOnly);
}

// Every writer frees a little of what was removed before, whatever it writes itself.
TEST_F(Poison, OfWhatIsFreedLaterStopsTheFreeingAndNotTheWriters) {
  bad_root().head = sound_head_;
  for (int i = 0; i < 100; ++i) r("RPUSH bad " + std::string(240, 'x'));
  EXPECT_EQ(r("DEL bad"), "1");
  const shm::Shard& shard = segment.segment().shard(bad_shard());
  ASSERT_NE(shard.lazy_free, 0u);
  const auto& grave = *segment.segment().pointer<shm::Entry>(shard.lazy_free);
  const_cast<shm::ListRoot&>(grave.root<shm::ListRoot>()).head = kNowhere;
  const auto key = [&](int number) {
    std::string name;
    for (int i = 0, found = 0; found <= number; ++i) {
      name = "key" + std::to_string(i);
      found += keyspace::make_key(segment.segment(), 0, name).shard == bad_shard();
    }
    return name;
  };
  for (int deaths = 0; deaths < 3; ++deaths) EXPECT_EQ(try_it("APPEND " + key(deaths + 5) + " v"), 128 + SIGSEGV);
  EXPECT_EQ(r("SET " + key(9) + " v"), "OK");
  EXPECT_EQ(r("SET " + key(5) + " v"), "OK");
  EXPECT_TRUE(suspect::convicted(shard));
  EXPECT_FALSE(suspect::read_only(shard));
}

class PoisonedQueue : public Poison {
 protected:
  PoisonedQueue() {
    bad_root().head = sound_head_;
    EXPECT_TRUE(queues_.push("jobs", {task_}).ok());
    sound_task_ = ready().first;
  }

  queues::Name name() { return {segment.segment(), shm::NamedKind::kQueue, 0, "jobs"}; }
  shm::TaskList& ready() {
    const auto* queue = segment.segment().pointer<shm::Queue>(queues::find_named(segment.segment(), name()));
    return const_cast<shm::Queue*>(queue)->ready[0];
  }
  // What a consumer gets, or is told.
  static std::string take(Process& process) {
    queues::TaskQueues queues(process, 0);
    queues::Consumer consumer(queues);
    if (const Status joined = consumer.add("jobs", true); !joined.ok()) return joined.text();
    const auto taken = consumer.take();
    if (!taken.ok()) return taken.status().text();
    return taken.value() ? taken.value()->data : "-";
  }
  int try_to_take() {
    return try_to([&] { take(*segment.attach()); });
  }

  queues::TaskQueues queues_{*segment.process(), 0};
  const std::string task_ = std::string(2000, 't');  // whoever takes it looks for its length first
  uint64_t sound_task_ = 0;
};

TEST_F(PoisonedQueue, IsStoppedAfterThreeDeathsOfItsConsumersUntilItIsRepaired) {
  ready().first = kNowhere;
  for (int deaths = 0; deaths < 3; ++deaths) {  // each joins the queue first, and that kills nobody
    EXPECT_EQ(try_to_take(), 128 + SIGSEGV);
    EXPECT_EQ(queues_.stats("jobs").ok(), deaths < 2);
    (void)sweep(*segment.process());
  }
  EXPECT_EQ(try_to_take(), 0);
  EXPECT_EQ(take(*segment.process()), kRefused);
  EXPECT_EQ(queues_.push("jobs", {"another"}).status().text(), kRefused);
  ASSERT_TRUE(repair_locked(*segment.process(), false, kLockBudgetNs).ok());
  EXPECT_EQ(take(*segment.process()), kRefused) << "a damaged segment is not reopened";

  ready().first = sound_task_;
  auto report = repair_locked(*segment.process(), false, kLockBudgetNs);
  ASSERT_TRUE(report.ok());
  ASSERT_EQ(report.value().convictions.size(), 1u);
  EXPECT_EQ(describe(report.value().convictions[0]),
            "the taking of a task killed three processes and is refused in shard " + std::to_string(name().shard) +
                ", which takes no writes");
  EXPECT_EQ(take(*segment.process()), task_);
  EXPECT_TRUE(check_locked(*segment.process(), kLockBudgetNs).value().clean());
}

// Who takes a task looks how much room its data wants, and takes it in a transaction of its own.
TEST_F(PoisonedQueue, OfWhichEverybodySurvivesTheFirstLookIsStoppedToo) {
  auto& task = const_cast<shm::Task&>(*segment.segment().pointer<shm::Task>(ready().first));
  task.more = kNowhere;
  for (int deaths = 0; deaths < 3; ++deaths) EXPECT_EQ(try_to_take(), 128 + SIGSEGV);
  EXPECT_EQ(try_to_take(), 0);
  EXPECT_EQ(take(*segment.process()), kRefused);
  task.more = 0;
}

// A typed client's SET is tried at once and, where that may not be, run as the command.
class PoisonedSet : public Poison {
 protected:
  // By a thread that has done something before: what it does first is not tried at once.
  std::string set(const std::string& key) {
    auto client = Client::connect("shoal://" + segment.name().name() + "?daemon=no");
    if (!client.ok()) return client.status().text();
    EXPECT_TRUE(client.value().set(elsewhere_, "old").ok());
    return client.value().set(key, "new").text();
  }
  void expect_it_is_stopped() {
    for (int deaths = 0; deaths < 3; ++deaths) EXPECT_EQ(try_to([&] { set("bad"); }), 128 + SIGSEGV);
    EXPECT_EQ(try_to([&] { set("bad"); }), 0);
    EXPECT_EQ(set("bad"), kRefused);
    EXPECT_EQ(set(neighbour_), kRefused);
    EXPECT_EQ(set(elsewhere_), "");
    EXPECT_EQ(r("LRANGE " + neighbour_ + " 0 -1"), "[x]");
  }
  void expect_it_is_reopened() {
    auto report = repair_locked(*segment.process(), false, kLockBudgetNs);
    ASSERT_TRUE(report.ok());
    ASSERT_EQ(report.value().convictions.size(), 1u);
    EXPECT_EQ(describe(report.value().convictions[0]),
              "SET on the key \"bad\" killed three processes and is refused in shard " + std::to_string(bad_shard()) +
                  ", which takes no writes");
    EXPECT_EQ(set("bad"), "");
    EXPECT_EQ(r("GET bad"), "new");
    EXPECT_TRUE(check_locked(*segment.process(), kLockBudgetNs).value().clean());
  }
};

TEST_F(PoisonedSet, OverADamagedListIsStopped) {
  expect_it_is_stopped();
  bad_root().head = sound_head_;
  expect_it_is_reopened();
}

TEST_F(PoisonedSet, OfAKeyWhosePlaceInTheTableIsDamagedIsStopped) {
  bad_root().head = sound_head_;
  EXPECT_EQ(r("SET bad old"), "OK");
  const Key key = keyspace::make_key(segment.segment(), 0, "bad");
  const uint64_t entry = segment.segment().offset_of(keyspace::find(segment.segment(), key));
  auto& slot = const_cast<Dict::Slot&>(*Dict::find(segment.segment(), segment.segment().shard(key.shard).keys, key.hash,
                                                   [entry](uint64_t item) { return item == entry; }));
  slot = Dict::make_slot(key.hash, kNowhere);
  expect_it_is_stopped();
  slot = Dict::make_slot(key.hash, entry);
  expect_it_is_reopened();
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
  Purpose{8, false, 98}.announce(dead);
  suspect::note_death(shard, dead, 1236, 0);
  EXPECT_EQ(suspect::deaths(shard), 2u) << "the most of one suspect";
}

// Or after it counted and before it summed up.
TEST(Suspect, AConvictionIsSeenThoughItsRecovererDied) {
  TestSegment segment;
  shm::Shard& shard = segment.segment().control_shard(1);
  shm::Context dead{};
  Purpose{7, false, 99}.announce(dead);
  for (uint32_t id = 1; id <= suspect::kDeathsMax; ++id) suspect::note_death(shard, dead, id, 0);
  shard.deaths = suspect::kDeathsMax - 1;
  suspect::note_death(shard, dead, suspect::kDeathsMax, 0);
  EXPECT_TRUE(suspect::read_only(shard));
}

TEST(Suspect, AreSeveralAndNoneHidesAnother) {
  TestSegment segment;
  shm::Shard& shard = segment.segment().control_shard(1);
  uint32_t id = 0;
  const auto die_in = [&](const Purpose& purpose, int64_t now_ms) {
    shm::Context dead{};
    purpose.announce(dead);
    suspect::note_death(shard, dead, ++id, now_ms);
    return suspect::admit(shard, dead, purpose.reads, now_ms).ok();
  };
  for (int64_t round = 1; round <= 3; ++round) {  // they take turns
    for (uint32_t which = 0; which < shm::kSuspectCount; ++which)
      EXPECT_EQ(die_in({100 + which, true, which}, round), round < 3) << which;  // the first one names no key
  }
  EXPECT_FALSE(die_in({100, true, 0}, 4));
  EXPECT_TRUE(die_in({200, true, 77}, 4)) << "there is no room for one more";
  suspect::forget(shard);
  for (uint32_t which = 0; which < shm::kSuspectCount; ++which) die_in({100 + which, true, 10 + which}, 5 + which);
  for (int64_t round = 0; round < 3; ++round)
    EXPECT_EQ(die_in({200, true, 77}, 20 + round), round < 2) << "it takes the place of the one that died first";
  EXPECT_TRUE(die_in({100, true, 10}, 30)) << "whose deaths are forgotten";
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
