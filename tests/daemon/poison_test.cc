// SPDX-License-Identifier: MIT
// An expired key that kills every daemon that removes it.
#include "commands/check.h"
#include "keyspace/keyspace.h"
#include "support.h"
#include "support/redis_session.h"
#include "types/list.h"

namespace shoal {
namespace {

class PoisonedExpiry : public DaemonTest {
 protected:
  static constexpr uint64_t kNowhere = uint64_t{1} << 40;  // leads out of every mapping

  PoisonedExpiry() {
    r("RPUSH bad a b c");
    sound_head_ = std::exchange(bad_root().head, kNowhere);
    r("PEXPIRE bad 1");
  }
  Key bad() { return keyspace::make_key(*segment_, 0, "bad"); }
  shm::ListRoot& bad_root() {
    return const_cast<shm::ListRoot&>(keyspace::find(*segment_, bad())->root<shm::ListRoot>());
  }
  // Keys of one shard, whether their time has come or not.
  uint64_t keys_in(uint32_t shard) { return segment_->shard(shard).database_keys[0]; }
  bool others_are_empty() {
    for (uint32_t shard = 0; shard < segment_->shard_count(); ++shard) {
      if (shard != bad().shard && keys_in(shard) != 0) return false;
    }
    return true;
  }
  void set_many_that_expire(bool in_all_shards) {
    for (int i = 0; i < 100; ++i) {
      const std::string name = "key" + std::to_string(i);
      if (!in_all_shards && keyspace::make_key(*segment_, 0, name).shard == bad().shard) continue;
      EXPECT_EQ(r("SET " + name + " x PX 1"), "OK");
    }
  }

  std::shared_ptr<Segment> segment_ = open_segment();
  std::shared_ptr<Process> process_ = attach(segment_);
  TestSession r{process_};
  uint64_t sound_head_ = 0;
};

TEST_F(PoisonedExpiry, IsStoppedAfterThreeDaemonsAndTheNextServesTheOtherShards) {
  for (int deaths = 0; deaths < 3; ++deaths) {
    Running daemon(command());
    ASSERT_GT(daemon.wait(), 0) << "the daemon lives";
  }
  Running daemon(command());
  ASSERT_TRUE(eventually([&] { return serves(); }));
  set_many_that_expire(false);
  EXPECT_TRUE(eventually([&] { return others_are_empty(); }));
  EXPECT_GT(keys_in(bad().shard), 0u);
  auto report = check_locked(*process_, kLockBudgetNs);
  ASSERT_TRUE(report.ok());
  ASSERT_EQ(report.value().convictions.size(), 1u);
  EXPECT_EQ(describe(report.value().convictions[0]),
            "the removal of expired keys on the key \"bad\" killed three processes and is refused in shard " +
                std::to_string(bad().shard) + ", which takes no writes");

  bad_root().head = sound_head_;
  ASSERT_TRUE(repair_locked(*process_, false, kLockBudgetNs).ok());
  EXPECT_TRUE(eventually([&] { return keys_in(bad().shard) == 0; }));
  set_many_that_expire(true);
  EXPECT_TRUE(eventually([&] { return others_are_empty() && keys_in(bad().shard) == 0; }));
  EXPECT_TRUE(check_locked(*process_, kLockBudgetNs).value().clean());
  EXPECT_TRUE(serves());
}

}  // namespace
}  // namespace shoal
