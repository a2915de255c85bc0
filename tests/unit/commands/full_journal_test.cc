// SPDX-License-Identifier: MIT
// A transaction whose journal finds no page goes on with copies until somebody asks; until then a structure may be half
// changed.
#include <gtest/gtest.h>

#include "base/clock.h"
#include "commands/check.h"
#include "keyspace/expiry.h"
#include "support/redis_session.h"
#include "transaction/page_pool.h"

namespace shoal {
namespace {

class FullJournal : public ::testing::Test {
 protected:
  ~FullJournal() override { set_wall_clock_offset_ms(0); }
  void take_all_pages() {
    while (const uint32_t page = claim_span(segment_.segment(), self(), 1, shm::PageKind::kJournal)) {
      taken_.push_back(page);
    }
  }
  void give_them_back() {
    for (const uint32_t page : taken_) release_span(segment_.segment(), page);
    taken_.clear();
  }
  shm::Context& self() { return *segment_.process()->context().value(); }

  TestSegment segment_;
  TestSession r_{segment_};
  std::vector<uint32_t> taken_;
};

TEST_F(FullJournal, AStepOfExpiryIsUndoneWhereverItEnds) {
  for (int i = 0; i < 200; ++i) r_("SET k" + std::to_string(i) + " v PX 1");
  set_wall_clock_offset_ms(5000);
  take_all_pages();
  const shm::Shard& shard = segment_.segment().shard(0);
  const uint64_t keys = shard.keys.count.load();
  int undone = 0;
  for (int used = 0; used < 256; ++used) {  // records of the first chunk, of two words each
    Transaction tx(*segment_.process(), self());
    ASSERT_TRUE(tx.begin(1, kLockBudgetNs).ok());
    for (int i = 0; i < used; ++i) tx.edit(shard.next_expiry_ms) = 1;
    keyspace::ExpiryPass pass;
    keyspace::expire_step(tx, 0, wall_clock_ms(), pass);
    if (tx.failed()) {
      ++undone;
      EXPECT_FALSE(tx.commit().ok());
    } else {
      tx.rollback();
    }
    ASSERT_EQ(shard.keys.count.load(), keys);
  }
  EXPECT_GT(undone, 20);
  give_them_back();
  EXPECT_EQ(r_("DBSIZE"), "200");
  EXPECT_TRUE(check(segment_.segment()).clean());
}

}  // namespace
}  // namespace shoal
