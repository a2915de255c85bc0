// SPDX-License-Identifier: MIT
// A segment of its own for each test of channels, and a small language: publish("a", "x"), Reader reads them; what they
// got is text. Each check at the end walks every channel and finds each block of the shard allocators accounted for.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "channels/outbox.h"
#include "channels/publish.h"
#include "channels/subscriber.h"
#include "support/fresh_name.h"
#include "support/process_fixture.h"
#include "transaction/recovery.h"
#include "transaction/size_class.h"
#include "types/dict.h"

namespace shoal::channels {

// What a subscriber got, as text: "room:hello", with a pattern "p*>room:hello", of a gap "room!3" or "room!?".
inline std::string told(const Delivery& delivery) {
  std::string text;
  if (delivery.pattern) text = std::string(delivery.source) + ">";
  text += delivery.channel;
  if (delivery.kind == Delivery::Kind::kGap) return text + "!" + (delivery.lost ? std::to_string(*delivery.lost) : "?");
  return text + ":" + std::string(delivery.data);
}

class Reader {
 public:
  explicit Reader(std::shared_ptr<Process> process) : subscriber_(std::move(process)) {}

  Reader& subscribe(const std::string& channel, const Start& start = {}) {
    return add(ChannelKind::kChannel, channel, start);
  }
  Reader& psubscribe(const std::string& pattern, const Start& start = {}) {
    return add(ChannelKind::kPattern, pattern, start);
  }
  void unsubscribe(const std::string& channel) {
    bool there = false;
    EXPECT_TRUE(subscriber_.unsubscribe(ChannelKind::kChannel, channel, kLockBudgetNs, there).ok());
    EXPECT_TRUE(there);
  }
  // Everything there is, as text.
  std::vector<std::string> read(size_t max = 256) {
    std::vector<std::string> all;
    size_t given = 0;
    do {
      const Status status = subscriber_.read(
          max,
          [](void* with, const Delivery& delivery) {
            static_cast<std::vector<std::string>*>(with)->push_back(told(delivery));
          },
          &all, given);
      EXPECT_TRUE(status.ok()) << describe(status);
    } while (given > 0);
    return all;
  }
  Subscriber* operator->() { return &subscriber_; }

 private:
  Reader& add(ChannelKind kind, const std::string& name, const Start& start) {
    bool fresh = false;
    const Status status = subscriber_.subscribe(kind, name, start, kLockBudgetNs, fresh);
    EXPECT_TRUE(status.ok()) << describe(status);
    return *this;
  }
  Subscriber subscriber_;
};

class ChannelTest : public ::testing::Test {
 protected:
  using Texts = std::vector<std::string>;
  SegmentName name_ = fresh_name("channel_test");
  SegmentOptions options_ = [] {
    SegmentOptions options;
    options.max_size = 32 * kMiB;
    options.shard_count = 4;
    options.context_count = 256;
    options.slot_count = 64;
    options.first_commit = 2 * kMiB;
    return options;
  }();
  std::shared_ptr<Process> process_;

  void SetUp() override { process_ = attach(); }
  void TearDown() override {
    if (process_ != nullptr) expect_sound();
    process_.reset();
    leave_nothing_of(name_);
  }
  std::shared_ptr<Process> attach() {
    auto opened = Segment::open(name_, OpenMode::kAttachOrCreate, options_);
    EXPECT_TRUE(opened.ok()) << describe(opened.status());
    auto process = Process::attach(std::move(opened).value(), shm::SlotRole::kClient);
    EXPECT_TRUE(process.ok()) << describe(process.status());
    return std::move(process).value();
  }
  Segment& segment() { return process_->segment(); }
  shm::Context& self() { return *process_->context().value(); }

  Published publish(const std::string& channel, const std::string& data) {
    Published published;
    const Status status = channels::publish(*process_, self(), channel, data, kLockBudgetNs, published);
    EXPECT_TRUE(status.ok()) << describe(status);
    return published;
  }
  void keep(const std::string& channel, uint32_t messages, uint64_t ttl_ms = 0) {
    const Status status = channels::configure(*process_, channel, {messages, ttl_ms}, kLockBudgetNs);
    EXPECT_TRUE(status.ok()) << describe(status);
  }
  const shm::Channel* channel(const std::string& text) {
    return find(segment(), name_of(segment(), ChannelKind::kChannel, text));
  }
  uint64_t channel_count() {
    uint64_t count = 0;
    for (uint32_t shard = 0; shard < segment().shard_count(); ++shard) count += segment().shard(shard).channels.count;
    return count;
  }
  uint64_t bytes_used() {
    uint64_t bytes = 0;
    for (uint32_t shard = 0; shard < segment().shard_count(); ++shard) bytes += segment().shard(shard).bytes_used;
    return bytes;
  }
  // Everything that is allocated belongs to a channel: true as long as a test makes nothing else.
  void expect_sound() {
    uint64_t reachable = 0;
    for (uint32_t shard = 0; shard < segment().shard_count(); ++shard) {
      EXPECT_EQ(segment().shard(shard).owner.load(), 0u);
      EXPECT_EQ(check_shard(segment(), shard), nullptr) << check_shard(segment(), shard);
      struct With {
        Segment& segment;
        uint64_t& bytes;
      } with{segment(), reachable};
      for_each_block(
          segment(), shard,
          [](void* raw, uint64_t offset) {
            auto& [in, bytes] = *static_cast<With*>(raw);
            const auto page = static_cast<uint32_t>(offset / kPageBytes);
            const uint64_t owner = in.page(page).owner;
            const uint32_t first = shm::page_kind(owner) == shm::PageKind::kTail ? static_cast<uint32_t>(owner) : page;
            const shm::PageUse use = in.page(first).use;
            bytes += use.size_class == shm::kSpanClass ? use.span * kPageBytes : kClassBytes[use.size_class];
          },
          &with);
    }
    EXPECT_EQ(reachable, bytes_used()) << "blocks are lost or in use twice";
  }
};

}  // namespace shoal::channels
