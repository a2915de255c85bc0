// SPDX-License-Identifier: MIT
#include "commands/reap.h"

#include <signal.h>
#include <sys/wait.h>

#include "support/process_fixture.h"
#include "support/redis_session.h"
#include "transaction/owner_lock.h"

namespace shoal {
namespace {

TEST(Reap, ProcessThatWasKilledInABlockingPopWaitsNoLonger) {
  TestSegment segment;
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(60);
    TestSession session(segment);
    const bool waits = session("BLPOP jobs more-jobs 0") == "(pending)";
    if (::write(ready[1], waits ? "y" : "n", 1) != 1) ::_exit(1);
    ::pause();
    ::_exit(1);
  }
  char answer = 0;
  ASSERT_EQ(::read(ready[0], &answer, 1), 1);
  ASSERT_EQ(answer, 'y');
  EXPECT_EQ(segment.waiting_keys(), 2u);
  ::kill(child, SIGKILL);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_EQ(sweep(*segment.process()), 1u);
  EXPECT_EQ(segment.waiting_keys(), 0u);
  ::close(ready[0]);
  ::close(ready[1]);
}

// It was promised the element, so that nobody else is.
TEST(Reap, AWokenWaiterOfTheDeadGivesItsTurnOnAlsoWhenItsShardWasLocked) {
  TestSegment segment;
  Signal waits;
  Child child([&] {
    TestSession session(segment);
    if (session("BLPOP jobs 0") == "(pending)") waits.send();
    ::pause();
    return 1;
  });
  waits.receive();
  TestSession session(segment);
  EXPECT_EQ(session("RPUSH jobs one"), "1");
  child.kill();
  {
    const std::shared_ptr<Process> other = segment.attach();
    const uint32_t shard = keyspace::make_key(segment.segment(), 0, "jobs").shard;
    const ShardLock lock(*other, *other->context().value(), shard, kLockBudgetNs);
    EXPECT_EQ(sweep(*segment.process(), kLoopLockBudgetNs), 0u) << "its slot stays, or nobody looks again";
  }
  EXPECT_EQ(session("BLPOP jobs 0"), "(pending)");
  EXPECT_EQ(sweep(*segment.process()), 1u);
  EXPECT_EQ(session("BLPOP jobs 0"), "[jobs, one]");
}

TEST(Reap, ASlotWithoutAWaiterIsNotKeptByAShardThatTakesNoWrites) {
  TestSegment segment;
  TestSession waits(segment);
  EXPECT_EQ(waits("BLPOP jobs 0"), "(pending)");
  shm::Shard& shard = segment.segment().control_shard(keyspace::make_key(segment.segment(), 0, "jobs").shard);
  shard.suspects[0] = {1, 0, Purpose::kTakeTask, suspect::kDeathsMax};
  shard.deaths = suspect::kDeathsMax;
  Child child([&] {
    TestSession session(segment);
    return session("DBSIZE") == "0" ? ::raise(SIGKILL) : 1;  // which takes locks, so it has a slot
  });
  EXPECT_EQ(child.wait(), 128 + SIGKILL);
  EXPECT_EQ(sweep(*segment.process()), 1u);
  suspect::forget(shard);
}

TEST(Reap, AWaiterBehindALockedShardKeepsNoneOfTheOthers) {
  TestSegment segment;
  std::string first = "a", last = "a";  // of the lowest shard, and of another
  const auto shard_of = [&](const std::string& key) { return keyspace::make_key(segment.segment(), 0, key).shard; };
  for (int i = 0; shard_of(first) != 0; ++i) first = "a" + std::to_string(i);
  for (int i = 0; shard_of(last) == 0; ++i) last = "b" + std::to_string(i);
  Signal waits;
  Child child([&] {
    TestSession session(segment);
    if (session("BLPOP " + first + " " + last + " 0") == "(pending)") waits.send();
    ::pause();
    return 1;
  });
  waits.receive();
  EXPECT_EQ(segment.waiting_keys(), 2u);
  child.kill();
  const std::shared_ptr<Process> other = segment.attach();
  const ShardLock lock(*other, *other->context().value(), 0, kLockBudgetNs);
  EXPECT_EQ(sweep(*segment.process(), kLoopLockBudgetNs), 0u);
  EXPECT_EQ(segment.waiting_keys(), 1u);
}

}  // namespace
}  // namespace shoal
