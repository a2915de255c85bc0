// SPDX-License-Identifier: MIT
// A segment of its own for each test, and a check of every invariant and every block at its end.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "queues/check.h"
#include "queues/consumer.h"
#include "queues/lease.h"
#include "queues/task_queue.h"
#include "support/fresh_name.h"
#include "support/single_step.h"

namespace shoal::queues {

class QueueTest : public ::testing::Test {
 protected:
  SegmentName name_ = fresh_name("queues_test");
  SegmentOptions options_ = [] {
    SegmentOptions options;
    options.max_size = 64 * kMiB;
    options.shard_count = 4;
    options.context_count = 64;
    options.slot_count = 16;
    options.first_commit = 4 * kMiB;
    return options;
  }();
  std::shared_ptr<Segment> segment_;
  std::unique_ptr<Process> process_;
  std::optional<TaskQueues> queues_;

  void SetUp() override {
    Process::set_reap([](Process& process, uint32_t slot) {
      return release_slot(process, slot, process.segment().slot(slot).generation.load()).ok();
    });
    auto opened = Segment::open(name_, OpenMode::kAttachOrCreate, options_);
    ASSERT_TRUE(opened.ok()) << describe(opened.status());
    segment_ = std::move(opened).value();
    process_ = attach();
    queues_.emplace(*process_, 0);
  }
  void TearDown() override {
    if (process_ != nullptr) expect_whole();
    queues_.reset();
    process_.reset();
    Process::set_reap(nullptr);
    leave_nothing_of(name_);
  }

  std::unique_ptr<Process> attach() {
    auto process = Process::attach(segment_, shm::SlotRole::kClient);
    EXPECT_TRUE(process.ok()) << describe(process.status());
    return process.ok() ? std::move(process).value() : nullptr;
  }

  // Every invariant holds, and the shard has handed out exactly the blocks that the queues reach.
  void expect_whole() {
    for (uint32_t shard = 0; shard < segment_->shard_count(); ++shard) {
      ASSERT_TRUE(run(*process_, Locks::look_at(shard, Purpose::kCheck), [&](Transaction& tx, Wakes&) {
                    CheckReport report;
                    check(*segment_, shard, report);
                    for (const std::string& problem : report.problems)
                      ADD_FAILURE() << "shard " << shard << ": " << problem;
                    std::sort(report.blocks.begin(), report.blocks.end());
                    EXPECT_EQ(std::adjacent_find(report.blocks.begin(), report.blocks.end()), report.blocks.end());
                    uint64_t bytes = 0;
                    for (uint64_t block : report.blocks) bytes += tx.capacity(block);
                    EXPECT_EQ(bytes, segment_->shard(shard).bytes_used) << "a block is lost, or was never handed out";
                    return Step::kAbandon;
                  }).ok());
    }
  }

  void push(Bytes data, uint32_t priority = 0, uint64_t due_ms = 0, Bytes queue = "q") {
    auto pushed = queues_->push(queue, {data, priority, due_ms});
    ASSERT_TRUE(pushed.ok()) << describe(pushed.status());
    ASSERT_EQ(pushed.value(), PushResult::kPushed);
  }
  static std::optional<Delivery> take(Consumer& consumer) {
    auto taken = consumer.take();
    EXPECT_TRUE(taken.ok()) << describe(taken.status());
    return taken.ok() ? taken.value() : std::nullopt;
  }
  static std::string take_data(Consumer& consumer) {
    auto taken = take(consumer);
    return taken ? taken->data : "-";
  }
  static LeaseTag tag_of(const Delivery& delivery) { return LeaseTag::parse(delivery.tag).value(); }
  QueueStats stats(Bytes queue = "q") {
    auto result = queues_->stats(queue);
    EXPECT_TRUE(result.ok() && result.value());
    return result.ok() && result.value() ? *result.value() : QueueStats{};
  }
  // Runs `body`, and `then` behind the `which`-th of its transactions on this queue's shard, counted from 1. `then`
  // works in another process, for this one is in the midst of something.
  void behind(int which, Bytes queue, const std::function<void()>& body, const std::function<void()>& then) {
    const auto& owner = segment_->control_shard(Name(*segment_, shm::NamedKind::kQueue, 0, queue).shard).owner;
    bool held = false;
    int ended = 0;
    test::Steps::run(body, [&] {
      if (std::exchange(held, owner.load() != 0) && !held && ++ended == which) then();
    });
    ASSERT_GE(ended, which);
  }
  static void reap(Process& by, Process& dead) {
    EXPECT_TRUE(release_slot(by, dead.slot_index(), dead.slot_generation()).ok());
  }
};

// A consumer of a process of its own, as another worker has it.
struct Worker {
  explicit Worker(std::unique_ptr<Process> attached)
      : process(std::move(attached)), queues(*process, 0), consumer(std::in_place, queues) {}
  std::unique_ptr<Process> process;
  TaskQueues queues;
  std::optional<Consumer> consumer;
};

}  // namespace shoal::queues
