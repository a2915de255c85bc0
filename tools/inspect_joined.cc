// SPDX-License-Identifier: MIT
// What can only be read under the shards' locks: channels and queues. The tool joins the segment for them as any
// process does, holds one lock at a time, and shows what it could not read as a problem.
#include "channels/bookmark.h"
#include "channels/ring_format.h"
#include "process/context.h"
#include "process/process.h"
#include "queues/records.h"
#include "tools/views.h"
#include "transaction/transaction.h"
#include "types/dict_check.h"

namespace shoal::tool {

namespace {

Json problem(const Status& status) { return Json::array({Json{{"problem", describe(status)}}}); }

Result<std::unique_ptr<Process>> join(const SegmentView& view) {
  auto segment = Segment::open(view.name(), OpenMode::kAttach);
  if (!segment.ok()) return segment.status();
  return Process::attach(std::move(segment).value(), shm::SlotRole::kTool);
}

using AddRows = void (*)(const Segment& segment, uint32_t shard, Json& rows);

// add(segment, shard, rows) under each shard's lock.
Json rows_of(const SegmentView& view, AddRows add) {
  auto process = join(view);
  if (!process.ok()) return problem(process.status());
  auto context = process.value()->context();
  if (!context.ok()) return problem(context.status());
  Json rows = Json::array();
  for (uint32_t shard = 0; shard < process.value()->segment().shard_count(); ++shard) {
    ShardLock lock(*process.value(), *context.value(), shard, kLockBudgetNs);
    if (!lock.ok()) return problem(lock.status());
    add(process.value()->segment(), shard, rows);
  }
  return rows;
}

// Nothing that is read here may be true, so every offset is doubted, and every list has an end.

// The record and what follows it; nullptr if the offset is none.
template <typename T>
const T* record_at(const Segment& segment, uint64_t offset) noexcept {
  return offset % 8 == 0 && segment.contains(offset, sizeof(T)) ? segment.pointer<T>(offset) : nullptr;
}
template <typename T>
std::string name_behind(const Segment& segment, const T& record, uint64_t bytes) {
  const uint64_t offset = segment.offset_of(&record + 1);
  if (!segment.contains(offset - 1, bytes + 1)) return "(damaged)";
  return {segment.pointer<char>(offset), bytes};
}

Json pid_of_slot(const Segment& segment, uint32_t slot) {
  return slot < segment.slot_count() ? Json(segment.slot(slot).pid) : Json(nullptr);
}

bool known(const Segment& segment, uint32_t id) noexcept { return shm::context_index(id) < segment.context_count(); }

Json channel_row(const Segment& segment, const shm::Channel& channel) {
  const uint64_t next = channel.ring.next.load(std::memory_order_relaxed);
  std::string listeners;
  uint64_t contexts = 0, subscribers = 0;
  for (uint64_t at = channel.subscribers.load(); at != 0 && contexts < segment.context_count(); ++contexts) {
    const auto* subscription = record_at<shm::Subscription>(segment, at);
    if (subscription == nullptr) break;
    const uint32_t id = subscription->context.load();
    if (contexts < 8) {
      listeners += (contexts == 0 ? "" : " ") + std::to_string(known(segment, id) ? holder_pid(segment, id) : 0);
    }
    if (known(segment, id) && !dead(segment, id)) subscribers += subscription->count.load();
    at = subscription->next.load();
  }
  const channels::Progress progress = channels::progress(segment, channel.incarnation.load(), next);
  return {{"name", name_behind(segment, channel, channel.name_bytes.load())},
          {"kind", channel.is_pattern() ? "pattern" : "channel"},
          {"published", next == 0 ? 0 : next - 1},
          {"subscribers", subscribers},
          {"behind", progress.behind},
          {"lag", progress.bookmarks < subscribers ? Json(nullptr) : Json(progress.lag)},
          {"keep", channel.keep.load()},
          {"keep_ms", channel.ttl_ms.load() == 0 ? Json(nullptr) : Json(channel.ttl_ms.load())},
          {"ring_bytes", shm::Ring::capacity_of(channel.ring.block.load())},
          {"dropped_early", channel.dropped_early.load(std::memory_order_relaxed)},
          {"incarnation", channel.incarnation.load()},
          {"pids", listeners}};
}

template <typename Visit>
void for_each_holder(const Segment& segment, const shm::Queue& queue, Visit&& visit) {
  for (const uint64_t first : {queue.consumers, queue.helpers}) {
    const auto* holder = record_at<shm::Holder>(segment, first);
    for (uint32_t steps = 0; holder != nullptr && steps < kTraversalStepsMax; ++steps) {
      visit(*holder);
      holder = record_at<shm::Holder>(segment, holder->next);
    }
  }
}

template <typename Visit>
void for_each_queue(const Segment& segment, uint32_t shard, Visit&& visit) {
  for_each_doubtful(segment, segment.shard(shard).queues, [&](uint64_t item) {
    const auto* queue = record_at<shm::Queue>(segment, item);
    if (queue == nullptr || queue->head.kind != shm::NamedKind::kQueue) return;
    visit(*queue, name_behind(segment, *queue, queue->head.name_bytes));
  });
}

// When the first delayed task comes due, 0 = nothing is delayed.
uint64_t next_due_ms(const Segment& segment, const shm::Queue& queue) {
  const auto* task = record_at<shm::Task>(segment, queue.delayed);
  for (uint32_t steps = 0; task != nullptr && task->left != 0 && steps < kTraversalStepsMax; ++steps) {
    task = record_at<shm::Task>(segment, task->left);
  }
  return task == nullptr ? 0 : task->time_ms;
}

// The earliest time in a tree of leases, of the `left` that are looked at: the earliest numbers first.
void oldest_lease(const Segment& segment, uint64_t root, uint32_t& left, uint64_t& oldest_ms) {
  const auto* task = record_at<shm::Task>(segment, root);
  if (task == nullptr || left == 0) return;
  --left;
  oldest_lease(segment, task->left, left, oldest_ms);
  if (oldest_ms == 0 || task->time_ms < oldest_ms) oldest_ms = task->time_ms;
  oldest_lease(segment, task->right, left, oldest_ms);
}

Json queue_row(const Segment& segment, const shm::Queue& queue, const std::string& name) {
  uint64_t consumers = 0, waiting = 0, oldest_ms = 0;
  uint32_t left = 1000;  // it is for people, and the shard's lock is held
  for_each_holder(segment, queue, [&](const shm::Holder& holder) {
    consumers += holder.handle != 0;
    waiting += holder.waiter != 0;
    oldest_lease(segment, holder.leases, left, oldest_ms);
  });
  const uint64_t due_ms = next_due_ms(segment, queue);
  return {{"name", name},
          {"database", queue.head.database},
          {"ready", queue.ready_count},
          {"delayed", queue.delayed_count},
          {"leased", queue.leased_count},
          {"dead", queue.dead_count},
          {"consumers", consumers},
          {"waiting", waiting},
          {"pushed", queue.pushed},
          {"acknowledged", queue.acknowledged},
          {"oldest_lease_time_ms", oldest_ms == 0 ? Json(nullptr) : Json(oldest_ms)},
          {"next_due_time_ms", due_ms == 0 ? Json(nullptr) : Json(due_ms)}};
}

}  // namespace

void add_channels(const Segment& segment, uint32_t shard, Json& rows) {
  for_each_doubtful(segment, segment.shard(shard).channels, [&](uint64_t item) {
    const auto* channel = record_at<shm::Channel>(segment, item);
    if (channel != nullptr) rows.push_back(channel_row(segment, *channel));
  });
}

void add_queues(const Segment& segment, uint32_t shard, Json& rows) {
  for_each_queue(segment, shard, [&](const shm::Queue& queue, const std::string& name) {
    rows.push_back(queue_row(segment, queue, name));
  });
}

void add_leases(const Segment& segment, uint32_t shard, Json& rows) {
  for_each_queue(segment, shard, [&](const shm::Queue& queue, const std::string& name) {
    for_each_holder(segment, queue, [&](const shm::Holder& holder) {
      rows.push_back({{"queue", name},
                      {"pid", pid_of_slot(segment, holder.slot)},
                      {"as", holder.handle != 0 ? "consumer" : "helper"},
                      {"leases", holder.lease_count},
                      {"waiting", holder.waiter != 0}});
    });
  });
}

Json channels_view(const SegmentView& view) { return rows_of(view, add_channels); }
Json queues_view(const SegmentView& view) { return rows_of(view, add_queues); }
Json leases_view(const SegmentView& view) { return rows_of(view, add_leases); }

}  // namespace shoal::tool
