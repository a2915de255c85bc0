// SPDX-License-Identifier: MIT
#include "commands/check.h"

#include <gtest/gtest.h>

#include <random>

#include "channels/subscription.h"
#include "support/redis_session.h"
#include "types/dict.h"

namespace shoal {
namespace {

std::string findings(const CheckReport& report) {
  std::string text;
  for (const Finding& finding : report.findings) text += describe(finding) + "\n";
  return text;
}

class CheckTest : public ::testing::Test {
 protected:
  std::string check_all() {
    auto report = check_locked(*segment.process(), kLockBudgetNs);
    return report.ok() ? findings(report.value()) : describe(report.status());
  }
  void fill() {
    for (int i = 0; i < 300; ++i) {
      const std::string n = std::to_string(i);
      r("SET key" + n + " " + std::string(static_cast<size_t>(i) * 7 % 600, 'v'));
      if (i % 3 == 0) r("PEXPIRE key" + n + " 1000000");
      if (i % 5 == 0) r("DEL key" + std::to_string(i / 2));
    }
    r("SET large " + std::string(200'000, 'x'));
    r("SELECT 3");
    r("SET other 1");
    r("SELECT 0");
  }
  shm::Shard& full_shard() {
    for (uint32_t i = 0;; ++i) {
      if (segment.segment().shard(i).keys.count.load() > 3) return segment.segment().control_shard(i);
    }
  }
  // A bucket with an item: which of a table's first buckets have some is up to the segment's hash seed.
  shm::Bucket& used_bucket() {
    const shm::DictRoot& keys = full_shard().keys;
    const auto* buckets = segment.segment().pointer<shm::Bucket>(keys.table.load());
    EXPECT_EQ(keys.depth.load(), 0u);
    uint32_t number = 0;
    while (buckets[number].slots[0].load() == 0) ++number;  // the shard has more than three
    return const_cast<shm::Bucket&>(buckets[number]);
  }
  TestSegment segment;
  TestSession r{segment};
};

TEST_F(CheckTest, FindsNothingInASoundSegment) {
  EXPECT_EQ(check_all(), "");
  fill();
  EXPECT_EQ(check_all(), "");
  r("SELECT 3");
  r("FLUSHDB");
  r("FLUSHALL");
  EXPECT_EQ(check_all(), "");
}

TEST_F(CheckTest, CountsKeysAndReachedBytes) {
  fill();
  auto report = check_locked(*segment.process(), kLockBudgetNs);
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(std::to_string(report.value().keys - 1), r("DBSIZE"));
  uint64_t by_class = 0;
  for (uint64_t bytes : report.value().bytes_by_class) by_class += bytes;
  EXPECT_EQ(by_class, report.value().bytes);
  EXPECT_GT(report.value().bytes, 200'000u);
}

TEST_F(CheckTest, FindsALostBlock) {
  fill();
  shm::Bucket& bucket = used_bucket();  // the slot is emptied: its item is reached from nowhere
  int last = 6;
  while (bucket.slots[last].load() == 0) --last;
  bucket.slots[last] = 0;
  EXPECT_NE(check_all().find("a block is lost"), std::string::npos);
}

TEST_F(CheckTest, FindsABlockThatIsReachedTwice) {
  fill();
  shm::Bucket& bucket = used_bucket();
  bucket.slots[1] = bucket.slots[0].load();
  EXPECT_NE(check_all().find("reached twice"), std::string::npos);
}

TEST_F(CheckTest, FindsAWrongCountOfKeys) {
  fill();
  full_shard().database_keys[0] += 1;
  EXPECT_NE(check_all().find("counts the keys of a database wrongly"), std::string::npos);
}

TEST_F(CheckTest, FindsAnOddSequence) {
  segment.segment().control_shard(0).sequence.fetch_add(1);
  EXPECT_NE(check_all().find("sequence is odd"), std::string::npos);
  segment.segment().control_shard(0).sequence.fetch_add(1);
}

TEST_F(CheckTest, FindsAPageThatALivingContextKeeps) {
  fill();
  auto context = segment.process()->context();
  const uint32_t extent = static_cast<uint32_t>(segment.segment().extents_offset() / kExtentBytes);
  shm::Page& page = segment.segment().control_page(extent * kPagesPerExtent + kPagesPerExtent - 1);
  page.owner.store(shm::page_owner(shm::PageKind::kClaimed, context.value()->id.load()));
  page.use = {0, 0, 0, shm::kSpanClass, 1};
  EXPECT_NE(check_all().find("living context that is in no transaction"), std::string::npos);
  page.owner.store(0);
  EXPECT_EQ(check_all(), "");
}

// Bytes changed at random all over the segment: whatever it finds, it comes back.
TEST_F(CheckTest, NeitherFaultsNorLoopsOnDamage) {
  fill();
  Segment& real = segment.segment();
  const uint64_t bytes = real.committed();
  std::vector<std::byte> saved(real.base(), real.base() + bytes);
  auto* copy = static_cast<std::byte*>(std::aligned_alloc(kPageBytes, bytes));
  std::mt19937_64 random(20240607);
  const uint64_t fixed_end = real.header().fixed_end, extents = real.extents_offset();
  uint64_t found = 0;
  for (int round = 0; round < 300; ++round) {
    std::memcpy(copy, saved.data(), bytes);
    auto view = Segment::view_memory(copy);
    for (int i = 0; i < 40; ++i) {
      const uint64_t at =
          random() % 3 == 0 ? 4096 + random() % (fixed_end - 4096) : extents + random() % (80 * kPageBytes);
      if (random() % 2 == 0) {
        copy[at] = static_cast<std::byte>(random());
      } else {
        std::memcpy(copy + at / 8 * 8, copy + (extents + random() % (80 * kPageBytes)) / 8 * 8, 8);
      }
    }
    found += check(*view).findings.size();
  }
  std::free(copy);
  EXPECT_GT(found, 300u);
}

class DirectoryCheckTest : public CheckTest {
 protected:
  // "room" and the patterns "a*" and "b*" are heard, somebody waits for "list".
  DirectoryCheckTest() {
    subscribe(shm::ChannelKind::kChannel, "room");
    subscribe(shm::ChannelKind::kPattern, "a*");
    subscribe(shm::ChannelKind::kPattern, "b*");
    EXPECT_EQ(r("BLPOP list 0"), "(pending)");
    EXPECT_EQ(check_all(), "");
  }
  ~DirectoryCheckTest() override { blocking::cancel(r.session()); }
  void subscribe(shm::ChannelKind kind, Bytes text) {
    shm::Context& self = *segment.process()->context().value();
    const channels::Name name = channels::name_of(segment.segment(), kind, text);
    uint32_t bit = 0;
    EXPECT_TRUE(channels::transact(*segment.process(), self, {Purpose::kSubscribe}, name.shards(), kLockBudgetNs,
                                   [&](Transaction& tx) { channels::subscribe(tx, name, self.id.load(), bit); })
                    .ok());
  }
  // What check finds while `word` is `value`.
  template <typename T>
  std::string found_with(const shm::Cell<T>& word, T value) {
    auto& cell = const_cast<shm::Cell<T>&>(word);
    const T sound = word.load();
    cell = value;
    const std::string found = findings(check(segment.segment()));
    cell = sound;
    return found;
  }
};

TEST_F(CheckTest, ALockWhoseHolderDoesNotExistIsSaidAndNotWaitedForEver) {
  const uint32_t own = shm::context_index(segment.process()->context().value()->id.load());
  shm::Shard& shard = segment.segment().control_shard(0);
  for (const uint32_t nobody : {shm::context_id(77, own), shm::context_id(1, segment.segment().context_count()),
                                shm::context_id(1, 0xffff) | shm::kWaitersBit}) {
    shard.owner = nobody;
    const auto report = check_locked(*segment.process(), kLoopLockBudgetNs);
    shard.owner = 0;
    EXPECT_EQ(report.status().code(), Code::kCorrupt) << nobody << ": " << describe(report.status());
  }
  EXPECT_EQ(check_all(), "");
}

TEST_F(DirectoryCheckTest, ChainOfBucketsThatIsARingIsFound) {
  for (uint32_t i = 0; i < segment.segment().shard_count(); ++i) {
    const shm::Shard& shard = segment.segment().shard(i);
    for (const shm::DictRoot* root : {&shard.channels, &shard.waiters}) {
      if (root->count.load() == 0) continue;
      const auto& bucket = *segment.segment().pointer<shm::Bucket>(root->table.load());
      EXPECT_NE(found_with(bucket.overflow, root->table.load()).find("a directory leads nowhere"), std::string::npos);
      EXPECT_NE(found_with(root->buckets, ~0u).find("a directory leads nowhere"), std::string::npos);
    }
  }
}

TEST_F(DirectoryCheckTest, ListOfPatternsThatIsARingIsFound) {
  const uint64_t first = segment.segment().header().patterns;
  const auto& pattern = *segment.segment().pointer<shm::Channel>(first);
  EXPECT_NE(found_with(pattern.next_pattern, first).find("the list of patterns leads nowhere"), std::string::npos);
}

}  // namespace
}  // namespace shoal
