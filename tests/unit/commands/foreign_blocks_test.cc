// SPDX-License-Identifier: MIT
// Blocks of a value that was moved from one shard to another, and is freed there, are memory of the first again.
#include <gtest/gtest.h>

#include <algorithm>

#include "commands/check.h"
#include "keyspace/make_room.h"
#include "support/redis_session.h"
#include "transaction/owner_lock.h"

namespace shoal {
namespace {

SegmentOptions small_segment() {
  SegmentOptions options = tiny_segment_options();
  options.max_size = 8 * kMiB;
  return options;
}

class ForeignBlocks : public ::testing::Test {
 protected:
  ForeignBlocks() {
    for (int i = 0; shard_of(to_) == shard_of(from_); ++i) to_ = "to" + std::to_string(i);
  }
  ~ForeignBlocks() override { EXPECT_TRUE(check(segment_.segment()).clean()); }

  uint32_t shard_of(const std::string& key) { return keyspace::make_key(segment_.segment(), 0, key).shard; }
  // Waiting in lists of the shard that freed them.
  size_t waiting() {
    const Segment& segment = segment_.segment();
    size_t count = 0;
    for (uint32_t shard = 0; shard < segment.shard_count(); ++shard) {
      for (uint64_t block : segment.shard(shard).foreign_free) {
        for (; block != 0; block = *segment.pointer<uint64_t>(block)) ++count;
      }
    }
    return count;
  }
  bool push() { return r.run({"RPUSH", from_, value_}).find("OOM") == std::string::npos; }
  void move() { ASSERT_EQ(r.run({"LMOVE", from_, to_, "LEFT", "RIGHT"}), value_); }
  void take() { ASSERT_EQ(r.run({"LPOP", to_}), value_); }
  void take_while_their_shard_is_locked(int count) {
    const std::shared_ptr<Process> other = segment_.attach();
    const ShardLock lock(*other, *other->context().value(), shard_of(from_), kLockBudgetNs);
    ASSERT_TRUE(lock.ok());
    for (int i = 0; i < count && !HasFatalFailure(); ++i) take();
  }

  TestSegment segment_{small_segment()};
  TestSession r{segment_};
  const std::string from_ = "from", value_ = std::string(600, 'x');
  std::string to_ = from_;
};

TEST_F(ForeignBlocks, ValuesThatAreMovedAndTakenFillNoSegment) {
  for (int i = 0; i < 30'000; ++i) {
    ASSERT_TRUE(push()) << i;
    ASSERT_NO_FATAL_FAILURE(move());
    ASSERT_NO_FATAL_FAILURE(take());
  }
  EXPECT_EQ(waiting(), 0u);
}

TEST_F(ForeignBlocks, RenamingANewValueOverTheOldOneFillsNoSegment) {
  std::vector<std::string> make{"HSET", from_};
  for (int field = 0; field < 200; ++field) make.insert(make.end(), {std::to_string(field), std::string(100, 'x')});
  for (int i = 0; i < 2'000; ++i) {
    ASSERT_EQ(r.run(make), "200") << i;
    ASSERT_EQ(r.run({"RENAME", from_, to_}), "OK") << i;
  }
}

TEST_F(ForeignBlocks, WhoseShardWasLockedComeHomeWithTheNextOfTheirKind) {
  constexpr int kBlocks = 10;
  for (int i = 0; i < 2 * kBlocks; ++i) {
    ASSERT_TRUE(push());
    ASSERT_NO_FATAL_FAILURE(move());
  }
  ASSERT_NO_FATAL_FAILURE(take_while_their_shard_is_locked(kBlocks));
  EXPECT_GE(waiting(), static_cast<size_t>(kBlocks));
  for (int i = 0; i < kBlocks; ++i) ASSERT_NO_FATAL_FAILURE(take());
  EXPECT_EQ(waiting(), 0u);
}

TEST_F(ForeignBlocks, WhoseShardWasLockedAreFoundWhenTheSegmentIsFull) {
  std::string third = "third";  // whoever holds its lock has nothing to do with it
  for (int i = 0; shard_of(third) == shard_of(from_) || shard_of(third) == shard_of(to_); ++i)
    third = "third" + std::to_string(i);
  const std::shared_ptr<Process> other = segment_.attach();
  const ShardLock lock(*other, *other->context().value(), shard_of(third), kLockBudgetNs);
  ASSERT_TRUE(lock.ok());
  int stored = 0;
  while (push()) ++stored;
  const int moved = stored * 3 / 4;  // moving needs a little room
  for (int i = moved; i < stored; ++i) ASSERT_EQ(r.run({"RPOP", from_}), value_);
  for (int i = 0; i < moved; ++i) ASSERT_NO_FATAL_FAILURE(move());
  ASSERT_NO_FATAL_FAILURE(take_while_their_shard_is_locked(moved));
  EXPECT_GE(waiting(), static_cast<size_t>(moved));
  for (int i = 0; i < stored * 9 / 10; ++i) ASSERT_TRUE(push()) << i << " of " << stored;
}

TEST_F(ForeignBlocks, OfAShardThatIsReadOnlyStayWhereTheyAre) {
  ASSERT_TRUE(push());
  ASSERT_NO_FATAL_FAILURE(move());
  shm::Shard& home = segment_.segment().control_shard(shard_of(from_));
  home.deaths = suspect::kDeathsMax;
  take();
  EXPECT_GE(waiting(), 1u);
  home.deaths = 0;
}

}  // namespace
}  // namespace shoal
