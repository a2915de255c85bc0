// SPDX-License-Identifier: MIT
// A reader without a lock meets memory that is no entry any more, at an even sequence: it must stay within bounds.
#include "keyspace/read_string.h"

#include <gtest/gtest.h>

#include <random>

#include "transaction/transaction.h"

namespace shoal {
namespace {

class ReadString : public ::testing::Test {
 protected:
  ReadString() {
    SegmentOptions options;
    options.max_size = 4 * kMiB;
    options.shard_count = 1;
    options.context_count = 16;
    options.slot_count = 4;
    options.first_commit = 2 * kMiB;
    segment_ = Segment::format_memory(
                   memory_.data() + kPageBytes - reinterpret_cast<uintptr_t>(memory_.data()) % kPageBytes, options)
                   .value();
    process_ = std::move(Process::attach(segment_, shm::SlotRole::kClient)).value();
    key_ = keyspace::make_key(*segment_, 0, "key");
    Transaction tx(*process_, *process_->context().value());
    EXPECT_TRUE(tx.begin(1, kLockBudgetNs).ok());
    const shm::Entry* entry = keyspace::create(tx, key_, Type::kString, Encoding::kInline, 5, false);
    std::memcpy(keyspace::fresh_value(tx, *entry), "value", 5);
    EXPECT_TRUE(tx.commit().ok());
    entry_ = const_cast<shm::Entry*>(keyspace::find(*segment_, key_));
  }

  // The longest room that was asked for.
  uint64_t read(keyspace::ReadString& result) {
    uint64_t most = 0;
    result = keyspace::read_string(*segment_, key_.database, key_.name, [&](uint64_t bytes) {
      most = std::max(most, bytes);
      room_.resize(bytes);
      return room_.data();
    });
    return most;
  }

  std::vector<std::byte> memory_ = std::vector<std::byte>(5 * kMiB);
  std::shared_ptr<Segment> segment_;
  std::unique_ptr<Process> process_;
  Key key_{};
  shm::Entry* entry_ = nullptr;
  std::string room_;
};

TEST_F(ReadString, CopiesWhatIsThere) {
  keyspace::ReadString result;
  EXPECT_EQ(read(result), 5u);
  EXPECT_EQ(result, keyspace::ReadString::kValue);
  EXPECT_EQ(room_, "value");
}

TEST_F(ReadString, NeverMakesRoomForALengthThatItDoesNotTrust) {  // C2
  const uint64_t meta = entry_->meta;
  std::mt19937_64 random(1);
  keyspace::ReadString result;
  for (int i = 0; i < 20'000; ++i) {
    const uint64_t bits = random() & random();  // also where only a few bits are wrong
    EntryMeta longer = EntryMeta::unpack(meta);
    longer.value_bytes = static_cast<uint32_t>(bits >> (i % 32));
    entry_->meta = i % 3 == 0 ? meta ^ bits : i % 3 == 1 ? bits : longer.pack();
    EXPECT_LE(read(result), string::kInlineEntryMax);
  }
  entry_->meta = meta;
  EXPECT_EQ(read(result), 5u);
}

TEST_F(ReadString, StaysInTheSegmentWhateverItsTableHolds) {
  shm::DictRoot& root = segment_->control_shard(0).keys;
  const uint64_t table = root.table;
  std::mt19937_64 random(2);
  keyspace::ReadString result;
  for (int i = 0; i < 20'000; ++i) {
    auto* words = reinterpret_cast<uint64_t*>(segment_->control_base() + table);
    words[random() % 8] = i % 3 == 0 ? random() : random() % segment_->committed();
    root.table = i % 5 == 0 ? random() % (2 * segment_->committed()) : table;
    read(result);
  }
}

}  // namespace
}  // namespace shoal
