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

// The same of commands, in a segment that cannot grow: each EXEC has a little less of the journal left.
TEST_F(FullJournal, AnExecIsUndoneWhereverItEnds) {
  while (segment_.segment().grow(kExtentBytes).ok()) continue;
  std::string beside;  // has a block like those of z, so that there is room for another one in its page
  const auto shard_of = [&](const std::string& key) { return keyspace::make_key(segment_.segment(), 0, key).shard; };
  for (int i = 0; beside.empty() || shard_of(beside) != shard_of("z"); ++i) beside = "z" + std::to_string(i);
  r_("ZADD " + beside + " 1 a");
  r_("SET k v");
  int undone = 0, done = 0;
  for (const int keys : {1, 4}) {  // of so few elements that they are freed at once
    std::string remove = "DEL";
    const auto make = [&] {
      remove = "DEL";
      for (int i = 0; i < keys; ++i) {
        const std::string number = std::to_string(i);
        EXPECT_EQ(r_("SADD s" + number + " a b c d e f g h"), "8");
        EXPECT_EQ(r_("HSET h" + number + " a 1 b 2 c 3 d 4 e 5 f 6 g 7 h 8"), "8");
        remove += " s" + number + " h" + number;
      }
    };
    make();
    take_all_pages();
    for (int used = 0; used < 200 && !HasFailure(); ++used) {
      r_("MULTI");
      for (int i = 0; i < used; ++i) r_("SET k v");
      r_(remove);
      r_("ZADD z 1 a");
      const bool ran = r_("EXEC").find("OOM") == std::string::npos;
      EXPECT_EQ(r_("EXISTS z"), ran ? "1" : "0");
      EXPECT_EQ(r_("SCARD s0") + r_("HLEN h0"), ran ? "00" : "88");
      (ran ? done : undone) += 1;
      if (!ran) continue;
      r_("DEL z");
      make();
    }
    give_them_back();
    r_(remove);
  }
  EXPECT_GT(done, 10);
  EXPECT_GT(undone, 200);
  EXPECT_TRUE(check(segment_.segment()).clean());
}

}  // namespace
}  // namespace shoal
