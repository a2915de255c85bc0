// SPDX-License-Identifier: MIT
// FLUSHALL and FLUSHDB: several databases, full segments, and what is counted afterwards.
#include <gtest/gtest.h>

#include <deque>
#include <functional>

#include "base/clock.h"
#include "commands/check.h"
#include "support/redis_session.h"
#include "transaction/size_class.h"
#include "types/string.h"

namespace shoal {
namespace {

SegmentOptions options_of(uint64_t max_size) {
  SegmentOptions options = tiny_segment_options();
  options.max_size = max_size;
  return options;
}

class Flush : public ::testing::Test {
 protected:
  ~Flush() override { set_wall_clock_offset_ms(0); }

  // Commands with numbers for '#' until no shard has room for one more.
  void fill(const std::function<std::string(const std::string& number)>& add) {
    for (int refused = 0; refused < 40; ++number_) {
      const std::string reply = add(std::to_string(number_));
      ASSERT_TRUE(reply.starts_with("(error) OOM") || !reply.starts_with("(")) << reply;
      refused = reply.starts_with("(error)") ? refused + 1 : 0;
    }
  }
  void fill_with_strings(uint64_t bytes) {
    fill([&](const std::string& n) { return r_.run({"SET", "k" + n, std::string(bytes, 'x')}); });
  }
  // Every block that a grave would fit into is given to a value, as an empty piece.
  void take_every_block() {
    for (uint32_t shard = 0; shard < segment_.segment().shard_count(); ++shard) {
      const Key key = key_of(shard);
      const auto& root = keyspace::find(segment_.segment(), key)->root<shm::BlobRoot>();
      const shm::Shard& of = segment_.segment().shard(shard);
      for (uint32_t c = size_class(40); c < kClassBytes.size(); ++c) {
        while (of.class_pages[c] != 0 || of.foreign_free[c] != 0) {
          Transaction tx(*segment_.process(), *segment_.process()->context().value());
          ASSERT_TRUE(tx.begin(uint64_t{1} << shard, kLockBudgetNs).ok());
          auto* piece = tx.create<shm::BlobPiece>(kClassBytes[c]);
          *piece = {0, 0};
          tx.edit(tx.view<shm::BlobPiece>(root.last).next) = tx.offset_of(piece);
          tx.edit(root.last) = tx.offset_of(piece);
          ASSERT_TRUE(tx.commit().ok());
        }
      }
    }
  }
  // The first of the names "k1", "k2" ... that lies there.
  Key key_of(uint32_t shard) {
    for (int i = 0;; ++i) {
      names_.push_back("k" + std::to_string(i));
      const Key key = keyspace::make_key(segment_.segment(), 0, names_.back());
      if (key.shard == shard) return key;
    }
  }
  std::string keys_of(int database) {
    r_("SELECT " + std::to_string(database));
    return r_("DBSIZE");
  }
  void expect_all_flushed() {
    EXPECT_EQ(r_("FLUSHALL"), "OK");
    for (int database = 0; database < 16; ++database) EXPECT_EQ(keys_of(database), "0") << database;
    EXPECT_TRUE(check(segment_.segment()).clean());
    r_("SELECT 0");
    for (int i = 0; i < 8; ++i) EXPECT_EQ(r_.run({"SET", "n" + std::to_string(i), std::string(200'000, 'y')}), "OK");
    EXPECT_TRUE(check(segment_.segment()).clean());
  }
  uint64_t expiries() {
    uint64_t sum = 0;
    for (uint32_t shard = 0; shard < segment_.segment().shard_count(); ++shard) {
      for (const uint64_t count : segment_.segment().shard(shard).database_expires) sum += count;
    }
    return sum;
  }
  // Frees all that was removed.
  void free_all() {
    for (uint32_t shard = 0; shard < segment_.segment().shard_count(); ++shard) {
      while (segment_.segment().shard(shard).lazy_free != 0) {
        Transaction tx(*segment_.process(), *segment_.process()->context().value());
        ASSERT_TRUE(tx.begin(uint64_t{1} << shard, kLockBudgetNs).ok());
        keyspace::free_lazily(tx, shard, 100);
        ASSERT_TRUE(tx.commit().ok());
      }
    }
  }
  uint64_t bytes_used() {
    uint64_t sum = 0;
    for (uint32_t shard = 0; shard < segment_.segment().shard_count(); ++shard) {
      sum += segment_.segment().shard(shard).bytes_used;
    }
    return sum;
  }

  int number_ = 0;
  std::deque<std::string> names_;
  TestSegment segment_{options_of(8 * kMiB)};
  TestSession r_{segment_};
};

TEST_F(Flush, AFullSegmentOfSmallStringsIsFlushed) {
  fill_with_strings(1000);
  expect_all_flushed();
}

TEST_F(Flush, AFullSegmentOfLargeStringsIsFlushed) {
  fill_with_strings(200'000);
  expect_all_flushed();
}

TEST_F(Flush, AFullSegmentOfStringsThatAreFreedBitByBitIsFlushed) {
  fill_with_strings(800'000);
  expect_all_flushed();
}

TEST_F(Flush, AFullSegmentOfTinyStringsIsFlushed) {
  fill_with_strings(1);
  expect_all_flushed();
}

TEST_F(Flush, AFullSegmentOfHashesIsFlushed) {
  fill([&](const std::string& n) { return r_.run({"HSET", "h" + n, "f", std::string(30, 'x'), "g", "1"}); });
  expect_all_flushed();
}

TEST_F(Flush, AFullSegmentOfListsIsFlushed) {
  fill([&](const std::string& n) { return r_.run({"RPUSH", "l" + n, std::string(3000, 'x'), "1"}); });
  expect_all_flushed();
}

TEST_F(Flush, ASegmentWithoutABlockLeftIsFlushed) {
  for (; number_ < 50; ++number_) r_.run({"SET", "k" + std::to_string(number_), std::string(5000, 'x')});
  fill_with_strings(100);
  take_every_block();
  expect_all_flushed();
}

TEST_F(Flush, AFullSegmentWithTwoDatabasesIsFlushed) {
  fill([&](const std::string& n) {
    r_("SELECT " + std::to_string(number_ % 2 * 7));
    return r_.run({"SET", "k" + n, std::string(100, 'x')});
  });
  expect_all_flushed();
}

// It removes key by key and keeps a record of each: that may be refused, and then nothing has happened.
TEST_F(Flush, OfOneOfTwoDatabasesInAFullSegmentIsDoneOrNot) {
  for (const size_t share : {2, 40}) {  // one in so many keys is of the database
    fill([&](const std::string& n) {
      r_(number_ % share == 0 ? "SELECT 7" : "SELECT 0");
      return r_.run({"SET", "k" + n, std::string(100, 'x')});
    });
    const std::string others = keys_of(0), keys = keys_of(7);
    const std::string reply = r_("FLUSHDB");
    const bool done = reply == "OK";
    EXPECT_TRUE(done || reply.starts_with("(error) OOM")) << reply;
    EXPECT_TRUE(done || share == 2) << reply;
    EXPECT_EQ(keys_of(7), done ? "0" : keys);
    EXPECT_EQ(keys_of(0), others);
    EXPECT_TRUE(check(segment_.segment()).clean());
    expect_all_flushed();
    r_("FLUSHALL");
    free_all();
  }
}

TEST_F(Flush, OfAllDatabasesBuriesEachShardAsAWhole) {
  for (int database = 0; database < 16; ++database) {
    r_("SELECT " + std::to_string(database));
    for (int i = 0; i < 100; ++i) r_("SET k" + std::to_string(i) + " v EX 1000");
  }
  EXPECT_EQ(expiries(), 1600u);
  const uint64_t before = bytes_used();
  EXPECT_EQ(r_("FLUSHALL"), "OK");
  EXPECT_GT(bytes_used(), before / 10 * 9);  // nothing was freed one by one
  EXPECT_EQ(expiries(), 0u);
  const CheckReport report = check(segment_.segment());
  EXPECT_TRUE(report.clean());
  EXPECT_EQ(report.keys, 0u);
  EXPECT_EQ(report.graves, segment_.segment().shard_count());
  for (int database = 0; database < 16; ++database) EXPECT_EQ(keys_of(database), "0") << database;
}

TEST_F(Flush, OfAllDatabasesIsSeenByWhoWatchesAKeyOfAnyOfThem) {
  TestSession other(segment_);
  for (int database = 0; database < 16; ++database) {
    for (int filled = 0; filled < 16; ++filled) {
      other("SELECT " + std::to_string(filled));
      other("SET a 1");
    }
    r_("SELECT " + std::to_string(database));
    r_("WATCH a");
    other("FLUSHALL");
    r_("MULTI");
    r_("PING");
    EXPECT_EQ(r_("EXEC"), "(nil array)") << database;
    r_("WATCH a");  // it is missing, and stays so
    other("FLUSHALL");
    r_("MULTI");
    r_("PING");
    EXPECT_EQ(r_("EXEC"), "[PONG]") << database;
  }
}

TEST_F(Flush, OfOneOfTwoDatabasesLeavesTheOther) {
  for (int i = 0; i < 3000; ++i) {
    const std::string n = std::to_string(i);
    r_("SELECT 3");
    r_("SET k" + n + " v EX 1000");
    if (i % 10 == 0) r_.run({"SET", "large" + n, std::string(3000, 'x')});
    r_("SELECT 0");
    r_("SET k" + n + " v" + n + " EX 2000");
    r_("RPUSH l" + n + " 1 2 3");
  }
  r_("SELECT 3");
  EXPECT_EQ(r_("FLUSHDB"), "OK");
  EXPECT_TRUE(check(segment_.segment()).clean());
  EXPECT_EQ(r_("DBSIZE"), "0");
  EXPECT_EQ(r_("GET k7"), "(nil)");
  EXPECT_EQ(expiries(), 3000u);
  r_("SELECT 0");
  EXPECT_EQ(r_("DBSIZE"), "6000");
  for (int i = 0; i < 3000; ++i) {
    const std::string n = std::to_string(i);
    ASSERT_EQ(r_("GET k" + n), "v" + n);
    ASSERT_EQ(r_("LLEN l" + n), "3");
  }
}

TEST_F(Flush, WhatItRemovesIsFreedToTheLastBlock) {
  for (const bool beside : {false, true}) {
    r_("FLUSHALL");
    free_all();
    const uint64_t empty = bytes_used();
    if (beside) {
      r_("SELECT 1");
      for (int i = 0; i < 50; ++i) r_("SET other" + std::to_string(i) + " v");
      r_("SELECT 0");
    }
    for (int i = 0; i < 2000; ++i) {
      const std::string n = std::to_string(i);
      r_("SET k" + n + " v");
      if (i % 50 == 0) r_.run({"SET", "large" + n, std::string(10'000, 'x')});
      if (i % 20 == 0) r_("SADD s" + n + " a b c");
    }
    r_.run({"SET", "huge", std::string(1'500'000, 'x')});
    EXPECT_EQ(r_("FLUSHDB"), "OK");
    if (beside) {
      r_("SELECT 1");
      EXPECT_EQ(r_("FLUSHDB"), "OK");
      r_("SELECT 0");
    }
    free_all();
    EXPECT_EQ(bytes_used(), empty) << beside;
    EXPECT_TRUE(check(segment_.segment()).clean());
  }
}

// Their records fill several chunks of a journal, and each is found again at the commit.
TEST_F(Flush, ThousandsOfKeysThatAreDeletedAtOnceAreFreedToTheLastBlock) {
  const uint64_t empty = bytes_used();
  std::vector<std::string> words{"DEL"};
  for (int i = 0; i < 8000; ++i) {
    words.push_back("k" + std::to_string(i));
    r_.run({"SET", words.back(), std::string(static_cast<size_t>(i) % 300, 'x')});
  }
  EXPECT_EQ(r_.run(words), "8000");
  EXPECT_EQ(bytes_used(), empty);
  EXPECT_TRUE(check(segment_.segment()).clean());
}

}  // namespace
}  // namespace shoal
