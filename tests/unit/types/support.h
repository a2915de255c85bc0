// SPDX-License-Identifier: MIT
// A segment with one value in it, and transactions that end in a commit or, to see that nothing stays of them, in an
// undo.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <set>
#include <string>

#include "process/process.h"
#include "segment/segment.h"
#include "support/fresh_name.h"
#include "transaction/transaction.h"
#include "types/type_table.h"

namespace shoal {

template <typename Root>
class TypeTest : public ::testing::Test {
 protected:
  static constexpr int64_t kBudgetNs = 5'000'000'000;

  void SetUp() override {
    SegmentOptions options;
    options.max_size = 64 * kMiB;
    options.shard_count = 1;
    options.context_count = 16;
    options.slot_count = 4;
    auto opened = Segment::open(name_, OpenMode::kAttachOrCreate, options);
    ASSERT_TRUE(opened.ok()) << describe(opened.status());
    segment_ = std::move(opened).value();
    auto process = Process::attach(segment_, shm::SlotRole::kClient);
    ASSERT_TRUE(process.ok()) << describe(process.status());
    process_ = std::move(process).value();
    run([&](Transaction& tx) {
      EntryMeta meta;
      meta.type = RootOf<Root>::type;
      meta.value_bytes = sizeof(Root);
      auto* entry = tx.create<shm::Entry>(meta.bytes());
      ASSERT_NE(entry, nullptr);
      std::memset(reinterpret_cast<std::byte*>(entry), 0, meta.bytes());
      entry->meta = meta.pack();
      entry_ = tx.offset_of(entry);
    });
    empty_bytes_ = segment_->shard(0).bytes_used;
  }
  void TearDown() override {
    process_.reset();
    leave_nothing_of(name_);
  }

  const shm::Entry& entry() const { return *segment_->pointer<shm::Entry>(entry_); }
  const Root& root() const { return entry().template root<Root>(); }
  const TypeRow& row() const { return *type_row(RootOf<Root>::type); }

  // Runs the body; again after growth when the segment was full. Commits, or undoes if told.
  template <typename Body>
  void run(Body&& body, bool undo = false) {
    for (;;) {
      auto context = process_->context();
      ASSERT_TRUE(context.ok()) << describe(context.status());
      Transaction tx(*process_, *context.value());
      ASSERT_TRUE(tx.begin(1, kBudgetNs).ok());
      body(tx);
      if (undo && !tx.failed()) return tx.rollback();
      const uint64_t wanted = tx.bytes_wanted();
      if (tx.commit().ok()) return;
      ASSERT_TRUE(segment_->grow(std::max<uint64_t>(wanted, kMiB)).ok());
    }
  }

  // Every invariant of the value, and no block twice.
  ::testing::AssertionResult sound() {
    std::set<uint64_t> blocks;
    const bool good = row().check(
        *segment_, entry(),
        [](void* context, uint64_t block) noexcept {
          return static_cast<std::set<uint64_t>*>(context)->insert(block).second;
        },
        &blocks);
    if (!good) return ::testing::AssertionFailure() << "check() found damage";
    return ::testing::AssertionSuccess();
  }

  // Empties the value in steps of the budget; nothing of it stays, and every step leaves it sound.
  void destroy_in_steps(uint32_t budget) {
    for (bool done = false; !done;) {
      run([&](Transaction& tx) { done = row().destroy(tx, entry(), budget); });
      ASSERT_TRUE(sound());
    }
    EXPECT_EQ(segment_->shard(0).bytes_used, empty_bytes_);
  }

  std::string random_bytes(size_t longest) {
    std::string text(random_() % (longest + 1), '\0');
    for (char& c : text) c = static_cast<char>(random_());
    return text;
  }

  std::mt19937 random_{12345};
  std::shared_ptr<Segment> segment_;
  std::unique_ptr<Process> process_;
  uint64_t entry_ = 0, empty_bytes_ = 0;
  SegmentName name_ = fresh_name("types_test");
};

}  // namespace shoal
