// SPDX-License-Identifier: MIT
// A blob is copied without its lock while others write: the copy is the value of one moment, or it is not given.
#include "keyspace/read_blob.h"

#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "keyspace/string_value.h"

namespace shoal {
namespace {

using Read = keyspace::ReadString;

class ReadBlob : public ::testing::Test {
 protected:
  static constexpr size_t kBytes = 200'000;  // several pieces
  static constexpr size_t kBehind = 70'000;  // more than a piece

  ReadBlob() {
    SegmentOptions options;
    options.max_size = 16 * kMiB;
    options.shard_count = 1;
    options.context_count = 16;
    options.slot_count = 4;
    options.first_commit = 8 * kMiB;
    segment_ = Segment::format_memory(
                   memory_.data() + kPageBytes - reinterpret_cast<uintptr_t>(memory_.data()) % kPageBytes, options)
                   .value();
    process_ = std::move(Process::attach(segment_, shm::SlotRole::kClient)).value();
  }

  Key key(Bytes name) { return keyspace::make_key(*segment_, 0, name); }
  // One transaction; `change` gets it and the entry of the key, if there is one.
  void change(Bytes name, const std::function<void(Transaction&, const Key&, const shm::Entry*)>& change) {
    Transaction tx(*process_, *process_->context().value());
    ASSERT_TRUE(tx.begin(1, kLockBudgetNs).ok());
    change(tx, key(name), keyspace::find(*segment_, key(name)));
    ASSERT_TRUE(tx.commit().ok());
  }
  void set(Bytes name, char letter, size_t bytes = kBytes) {
    const std::string value(bytes, letter);
    change(name, [&](Transaction& tx, const Key& of, const shm::Entry* entry) {
      EXPECT_NE(keyspace::set_string(tx, of, entry, value, 0), nullptr);
    });
  }
  // Reads "key"; `meanwhile` runs when the reader knows where the blob lies and has not begun to copy.
  Read read(const std::function<void()>& meanwhile) {
    uint32_t given = 0;
    const Read result = keyspace::read_blob(*segment_, key("key"), [&](uint32_t bytes) {
      ++looks_;
      given = bytes;
      room_.assign(bytes + kBehind, '-');
      meanwhile();
      return room_.data();
    });
    EXPECT_EQ(room_.find_first_not_of('-', given), std::string::npos) << "it wrote beyond its room";
    room_.resize(given);
    return result;
  }
  keyspace::BlobPlace place() {
    keyspace::BlobPlace found;
    EXPECT_EQ(keyspace::find_blob(*segment_, key("key"), found), Read::kValue);
    return found;
  }

  std::vector<std::byte> memory_ = std::vector<std::byte>(17 * kMiB);
  std::shared_ptr<Segment> segment_;
  std::unique_ptr<Process> process_;
  std::string room_;
  int looks_ = 0;
};

TEST_F(ReadBlob, CopiesAllPieces) {
  std::string value;
  for (size_t i = 0; value.size() < kBytes; ++i) value += std::to_string(i) + ' ';
  change("key",
         [&](Transaction& tx, const Key& of, const shm::Entry*) { keyspace::set_string(tx, of, nullptr, value, 0); });
  EXPECT_EQ(read([] {}), Read::kValue);
  EXPECT_EQ(room_, value);
}

TEST_F(ReadBlob, LeavesAllThatIsNoBlobToTheOthers) {
  EXPECT_EQ(read([] {}), Read::kMissing);
  set("key", 'a', 10);
  EXPECT_EQ(read([] {}), Read::kUseLock);
  EXPECT_EQ(looks_, 0);
}

TEST_F(ReadBlob, WritersOfOtherKeysDoNotDisturbIt) {
  set("key", 'a');
  set("other", 'x');
  EXPECT_EQ(read([&] { set("other", 'y'); }), Read::kValue);
  EXPECT_EQ(room_, std::string(kBytes, 'a'));
  EXPECT_EQ(looks_, 1);
}

TEST_F(ReadBlob, AWriterOfItsKeyMakesTheCopyVoid) {
  set("key", 'a');
  EXPECT_EQ(read([&] {
              if (looks_ > 1) return;
              set("key", 'b');
              set("other", '!');  // lies where the old value lay
            }),
            Read::kValue);
  EXPECT_EQ(room_, std::string(kBytes, 'b'));
  EXPECT_EQ(looks_, 2);
}

// The place alone does not say whether it is the same blob.
TEST_F(ReadBlob, ANewValueInThePlaceOfTheOldOneMakesTheCopyVoid) {
  set("key", 'a');
  const keyspace::BlobPlace before = place();
  EXPECT_EQ(read([&] {
              for (int i = 0; i < 50 && looks_ == 1 && (i == 0 || place().first != before.first); ++i) set("key", 'b');
            }),
            Read::kValue);
  ASSERT_EQ(place().first, before.first) << "the allocator does not give the same place again: another test is needed";
  EXPECT_EQ(room_, std::string(kBytes, 'b'));
  EXPECT_EQ(looks_, 2) << "half of it might be the one value, half the other";
}

TEST_F(ReadBlob, AnAppendMakesTheCopyVoid) {
  set("key", 'a');
  EXPECT_EQ(read([&] {
              if (looks_ > 1) return;
              change("key", [](Transaction& tx, const Key& of, const shm::Entry* entry) {
                keyspace::write_range(tx, of, *entry, kBytes, "b");
              });
            }),
            Read::kValue);
  EXPECT_EQ(room_, std::string(kBytes, 'a') + 'b');
}

// Version and place are as they were; the bytes that were copied need not be.
TEST_F(ReadBlob, AChangeThatWasUndoneMakesTheCopyVoid) {
  set("key", 'a');
  const auto undo = [&](bool to_a_savepoint) {
    Transaction tx(*process_, *process_->context().value());
    ASSERT_TRUE(tx.begin(1, kLockBudgetNs).ok());
    const Transaction::Savepoint point = tx.savepoint();
    keyspace::remove(tx, key("key"), *keyspace::find(*segment_, key("key")));
    if (!to_a_savepoint) return;
    tx.rollback_to(point);
    EXPECT_TRUE(tx.commit().ok());
  };
  for (const bool to_a_savepoint : {false, true}) {
    const keyspace::BlobPlace before = place();
    undo(to_a_savepoint);
    EXPECT_EQ(place().version, before.version);
    EXPECT_EQ(place().first, before.first);
    looks_ = 0;
    EXPECT_EQ(read([&] {
                if (looks_ == 1) undo(to_a_savepoint);
              }),
              Read::kValue);
    EXPECT_EQ(room_, std::string(kBytes, 'a'));
    EXPECT_EQ(looks_, 2) << to_a_savepoint;
  }
}

TEST_F(ReadBlob, AKeyThatGoesMeanwhileIsMissing) {
  set("key", 'a');
  EXPECT_EQ(read([&] {
              change("key",
                     [](Transaction& tx, const Key& of, const shm::Entry* entry) { keyspace::remove(tx, of, *entry); });
            }),
            Read::kMissing);
}

TEST_F(ReadBlob, AKeyThatIsRewrittenAllTheTimeIsLeftToTheLock) {
  set("key", 'a');
  EXPECT_EQ(read([&] { set("key", static_cast<char>('a' + looks_)); }), Read::kUseLock);
  EXPECT_EQ(looks_, static_cast<int>(keyspace::kBlobTriesMax));
}

TEST_F(ReadBlob, StaysInTheSegmentWhateverItsPiecesHold) {
  set("key", 'a');
  const uint64_t first = place().first;
  auto* words = reinterpret_cast<uint64_t*>(segment_->control_base() + first);
  const uint64_t next = words[0], bytes = words[1];
  std::mt19937_64 random(3);
  for (int i = 0; i < 5'000; ++i) {
    words[0] = i % 2 == 0 ? next : random() % 3 == 0 ? random() : random() % (2 * segment_->committed()) & ~7ull;
    words[1] = i % 3 == 0 ? bytes : random() % 5 == 0 ? random() : random() % kBytes;
    looks_ = 0;
    read([] {});
  }
  words[0] = next;
  words[1] = bytes;
  EXPECT_EQ(read([] {}), Read::kValue);
}

TEST_F(ReadBlob, DoesNotBelieveALengthBeyondTheSegment) {
  set("key", 'a');
  auto& root = const_cast<shm::BlobRoot&>(keyspace::find(*segment_, key("key"))->root<shm::BlobRoot>());
  root.bytes = kValueBytesMax;
  EXPECT_EQ(read([] {}), Read::kUseLock);
  EXPECT_EQ(looks_, 0);
}

}  // namespace
}  // namespace shoal
