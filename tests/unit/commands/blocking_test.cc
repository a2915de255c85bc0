// SPDX-License-Identifier: MIT
// A blocked command is forgotten without waiting for a lock, whatever is held.
#include "commands/blocking.h"

#include "keyspace/keyspace.h"
#include "support/eventually.h"
#include "support/redis_session.h"
#include "transaction/owner_lock.h"

namespace shoal {
namespace {

class Blocking : public ::testing::Test {
 protected:
  uint32_t shard_of(const std::string& key) { return keyspace::make_key(segment_.segment(), 0, key).shard; }
  std::string key_of_another_shard(const std::string& key) {
    std::string other = "other";
    while (shard_of(other) == shard_of(key)) other += "r";
    return other;
  }
  uint64_t waiting(const std::string& key) { return segment_.segment().shard(shard_of(key)).waiters.count.load(); }

  TestSegment segment_;
  TestSession r{segment_}, s{segment_};
  std::shared_ptr<Process> holder_ = segment_.attach();
};

TEST_F(Blocking, WhatIsCancelledBehindALockThatIsHeldGoesWhenTheLockFalls) {
  const std::string open = key_of_another_shard("q");
  ASSERT_EQ(r("BLPOP q " + open + " 0"), "(pending)");
  {
    ShardLock lock(*holder_, *holder_->context().value(), shard_of("q"), kLockBudgetNs);
    blocking::cancel(r.session());
    EXPECT_FALSE(blocking::pending(r.session()));
    EXPECT_EQ(waiting("q"), 1u);
    EXPECT_EQ(waiting(open), 0u) << "an open shard waits for a locked one";
  }
  EXPECT_TRUE(eventually([&] { return waiting("q") == 0; }));
}

TEST_F(Blocking, ATurnThatIsCancelledBehindALockGoesToTheNextWaiter) {
  ASSERT_EQ(r("BLPOP q 0"), "(pending)");
  ASSERT_EQ(s("BLPOP q 0"), "(pending)");
  ASSERT_EQ(TestSession(segment_)("RPUSH q x"), "1");  // r's turn
  {
    ShardLock lock(*holder_, *holder_->context().value(), shard_of("q"), kLockBudgetNs);
    blocking::cancel(r.session());
  }
  EXPECT_TRUE(eventually([&] { return blocking::resume(s.session(), kLockBudgetNs) == Outcome::kReplied; }));
}

TEST_F(Blocking, ASessionThatIsGoneLeavesNoWaiterBehindALock) {
  {
    TestSession gone(segment_);
    ASSERT_EQ(gone("BLPOP q 0"), "(pending)");
    ShardLock lock(*holder_, *holder_->context().value(), shard_of("q"), kLockBudgetNs);
    gone("PING");  // the next command of a session ends its blocked one
  }
  EXPECT_TRUE(eventually([&] { return waiting("q") == 0; }));
  ASSERT_EQ(r("RPUSH q x"), "1");
  EXPECT_EQ(s("BLPOP q 0"), "[q, x]") << "promised to a waiter that is gone";
}

}  // namespace
}  // namespace shoal
