// SPDX-License-Identifier: MIT
#include "daemon/expire_task.h"

#include <gtest/gtest.h>

#include <numeric>

#include "base/clock.h"
#include "commands/check.h"
#include "support/redis_session.h"

namespace shoal::daemon {
namespace {

using namespace std::chrono_literals;

class ExpireTaskTest : public ::testing::Test {
 protected:
  void TearDown() override { set_wall_clock_offset_ms(0); }
  static void run_until_idle(ExpireTask& task) {
    while (task.turn() < 100ms) {
    }
  }
  uint64_t keys_in_memory() {
    uint64_t keys = 0;
    for (uint32_t i = 0; i < segment_.segment().shard_count(); ++i) {
      for (const uint64_t count : segment_.segment().shard(i).database_keys) keys += count;
    }
    return keys;
  }
  uint64_t bytes_used() {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < segment_.segment().shard_count(); ++i) bytes += segment_.segment().shard(i).bytes_used;
    return bytes;
  }
  void set_many(int count, const std::string& prefix, const std::string& options) {
    for (int i = 0; i < count; ++i) session_("SET " + prefix + std::to_string(i) + " v " + options);
  }

  TestSegment segment_;
  TestSession session_{segment_};
};

TEST_F(ExpireTaskTest, KeysWhoseTimeHasComeGoAndNoOthers) {
  set_many(3000, "short:", "EX 3600");
  set_many(300, "long:", "EX 36000");
  set_many(300, "for-ever:", "");
  ExpireTask task(*segment_.process());
  run_until_idle(task);
  EXPECT_EQ(keys_in_memory(), 3600u);
  set_wall_clock_offset_ms(7'200'000);
  run_until_idle(task);
  EXPECT_EQ(keys_in_memory(), 600u);
  EXPECT_EQ(task.keys_expired(), 3000u);
  EXPECT_EQ(session_("EXISTS long:7 for-ever:7 short:7"), "2");
}

TEST_F(ExpireTaskTest, BoundIsTheEarliestTimeOfTheShardsKeys) {
  set_many(500, "a:", "PXAT 4000000000000");
  set_many(500, "b:", "PXAT 4000000009000");
  ExpireTask task(*segment_.process());
  run_until_idle(task);
  for (uint32_t i = 0; i < segment_.segment().shard_count(); ++i) {
    EXPECT_EQ(segment_.segment().shard(i).next_expiry_ms, 4000000000000u);
    EXPECT_FALSE(keyspace::expiry_due(segment_.segment(), i, 3999999999999));
    EXPECT_TRUE(keyspace::expiry_due(segment_.segment(), i, 4000000000000));
  }
}

TEST_F(ExpireTaskTest, KeyThatIsSetWhileAPassRunsIsNotForgotten) {
  set_many(4000, "k:", "PXAT 4000000000000");
  keyspace::ExpiryPass pass;
  const auto step = [&] {
    Transaction tx(*segment_.process(), *segment_.process()->context().value());
    EXPECT_TRUE(tx.begin(1, kLockBudgetNs).ok());
    const bool over = keyspace::expire_step(tx, 0, wall_clock_ms(), pass);
    EXPECT_TRUE(tx.commit().ok());
    return over;
  };
  ASSERT_FALSE(step());
  for (int i = 0; i < 4000; ++i) session_("PEXPIREAT k:" + std::to_string(i) + " 3900000000000");
  while (!step()) {
  }
  EXPECT_EQ(segment_.segment().shard(0).next_expiry_ms, 3900000000000u);
}

TEST_F(ExpireTaskTest, DaemonDoesNotTrustTheBoundThatADeadOneLeft) {
  set_many(200, "k:", "EX 3600");
  for (uint32_t i = 0; i < segment_.segment().shard_count(); ++i) {
    Transaction tx(*segment_.process(), *segment_.process()->context().value());
    ASSERT_TRUE(tx.begin(uint64_t{1} << i, kLockBudgetNs).ok());
    tx.edit(tx.shard(i).next_expiry_ms) = UINT64_MAX;
    ASSERT_TRUE(tx.commit().ok());
  }
  set_wall_clock_offset_ms(7'200'000);
  ExpireTask task(*segment_.process());
  run_until_idle(task);
  EXPECT_EQ(keys_in_memory(), 0u);
}

TEST_F(ExpireTaskTest, APassThatIsNotOverYetIsNoDamage) {
  set_many(4000, "k:", "EX 3600");
  keyspace::ExpiryPass pass;
  Transaction tx(*segment_.process(), *segment_.process()->context().value());
  ASSERT_TRUE(tx.begin(1, kLockBudgetNs).ok());
  EXPECT_FALSE(keyspace::expire_step(tx, 0, wall_clock_ms(), pass));
  EXPECT_TRUE(tx.commit().ok());
  EXPECT_TRUE(check(segment_.segment()).clean());
}

TEST_F(ExpireTaskTest, WhatWasRemovedLazilyIsFreed) {
  ExpireTask task(*segment_.process());
  const uint64_t before = bytes_used();
  set_many(2000, "k:", "");
  EXPECT_GT(bytes_used(), before);
  EXPECT_EQ(session_("FLUSHALL"), "OK");
  run_until_idle(task);
  EXPECT_EQ(bytes_used(), before);
}

TEST_F(ExpireTaskTest, ShardThatSomebodyHoldsIsLeftForLater) {
  set_many(200, "k:", "EX 3600");
  set_wall_clock_offset_ms(7'200'000);
  ExpireTask task(*segment_.process());
  auto other = segment_.attach();
  const uint64_t held = std::accumulate(std::begin(segment_.segment().shard(0).database_keys),
                                        std::end(segment_.segment().shard(0).database_keys), uint64_t{0});
  {
    Transaction tx(*other, *other->context().value());
    ASSERT_TRUE(tx.begin(1, kLockBudgetNs).ok());
    run_until_idle(task);
    EXPECT_EQ(keys_in_memory(), held);
    tx.rollback();
  }
  run_until_idle(task);
  EXPECT_EQ(keys_in_memory(), 0u);
}

}  // namespace
}  // namespace shoal::daemon
