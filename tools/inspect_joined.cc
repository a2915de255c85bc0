// SPDX-License-Identifier: MIT
// What can only be read under the shards' locks: channels and queues. The tool joins the segment for them as any
// process does, holds one lock at a time, and shows what it could not read as a problem. A subscriber's place in a ring
// is known to its own process alone, so channels show who listens and not how far they are behind.
#include <array>

#include "channels/subscription.h"
#include "queues/directory.h"
#include "queues/task_queue.h"
#include "tools/views.h"

namespace shoal::tool {

namespace {

Json problem(const Status& status) { return Json::array({Json{{"problem", describe(status)}}}); }

Result<std::unique_ptr<Process>> join(const SegmentView& view) {
  auto segment = Segment::open(view.name(), OpenMode::kAttach);
  if (!segment.ok()) return segment.status();
  return Process::attach(std::move(segment).value(), shm::SlotRole::kTool);
}

// visit(shard) under each shard's lock.
template <typename Visit>
Status under_each_lock(Process& process, Visit&& visit) {
  auto context = process.context();
  if (!context.ok()) return context.status();
  for (uint32_t shard = 0; shard < process.segment().shard_count(); ++shard) {
    ShardLock lock(process, *context.value(), shard, kLockBudgetNs);
    if (!lock.ok()) return lock.status();
    visit(process.segment().shard(shard));
  }
  return {};
}

Json pid_of_slot(const Segment& segment, uint32_t slot) {
  return slot < segment.header().slot_count ? Json(segment.slot(slot).pid) : Json(nullptr);
}

Json channel_row(const Segment& segment, const shm::Channel& channel) {
  const uint64_t next = channel.ring.next.load(std::memory_order_relaxed);
  std::string listeners;
  uint64_t contexts = 0;
  for (uint64_t at = channel.subscribers.load(); at != 0 && contexts < segment.header().context_count; ++contexts) {
    const auto& subscription = *segment.pointer<shm::Subscription>(at);
    if (contexts < 8) {
      listeners += (contexts == 0 ? "" : " ") + std::to_string(holder_pid(segment, subscription.context.load()));
    }
    at = subscription.next.load();
  }
  return {{"name", std::string(channel.name())},
          {"kind", channel.is_pattern() ? "pattern" : "channel"},
          {"published", next == 0 ? 0 : next - 1},
          {"subscribers", channels::count_subscribers(segment, channel)},
          {"keep", channel.keep.load()},
          {"keep_ms", channel.ttl_ms.load() == 0 ? Json(nullptr) : Json(channel.ttl_ms.load())},
          {"ring_bytes", shm::Ring::capacity_of(channel.ring.block.load())},
          {"dropped_early", channel.dropped_early.load(std::memory_order_relaxed)},
          {"incarnation", channel.incarnation.load()},
          {"pids", listeners}};
}

void add_leases(const Segment& segment, const shm::Queue& queue, Json& rows) {
  const std::string name(queues::name_of(queue.head, sizeof(shm::Queue)));
  for (const uint64_t first : {queue.consumers, queue.helpers}) {
    uint32_t steps = 0;
    for (uint64_t at = first; at != 0 && ++steps < kTraversalStepsMax;) {
      const auto& holder = *segment.pointer<shm::Holder>(at);
      rows.push_back({{"queue", name},
                      {"pid", pid_of_slot(segment, holder.slot)},
                      {"as", holder.handle != 0 ? "consumer" : "helper"},
                      {"leases", holder.lease_count},
                      {"waiting", holder.waiter != 0}});
      at = holder.next;
    }
  }
}

}  // namespace

Json channels_view(const SegmentView& view) {
  auto process = join(view);
  if (!process.ok()) return problem(process.status());
  const Segment& segment = process.value()->segment();
  Json rows = Json::array();
  const Status status = under_each_lock(*process.value(), [&](const shm::Shard& shard) {
    Dict::for_each(segment, shard.channels,
                   [&](uint64_t item) { rows.push_back(channel_row(segment, *segment.pointer<shm::Channel>(item))); });
  });
  return status.ok() ? rows : problem(status);
}

Json queues_view(const SegmentView& view) {
  auto process = join(view);
  if (!process.ok()) return problem(process.status());
  auto queues = queues::all_queues(*process.value());
  if (!queues.ok()) return problem(queues.status());
  Json rows = Json::array();
  for (const queues::QueueStats& queue : queues.value()) {
    rows.push_back({{"name", queue.name},
                    {"database", queue.database},
                    {"ready", queue.ready},
                    {"delayed", queue.delayed},
                    {"leased", queue.leased},
                    {"dead", queue.dead},
                    {"consumers", queue.consumers},
                    {"waiting", queue.waiting},
                    {"pushed", queue.pushed},
                    {"acknowledged", queue.acknowledged},
                    {"oldest_lease_time_ms", queue.oldest_lease_ms == 0 ? Json(nullptr) : Json(queue.oldest_lease_ms)},
                    {"next_due_time_ms", queue.next_due_ms == 0 ? Json(nullptr) : Json(queue.next_due_ms)}});
  }
  return rows;
}

Json leases_view(const SegmentView& view) {
  auto process = join(view);
  if (!process.ok()) return problem(process.status());
  const Segment& segment = process.value()->segment();
  Json rows = Json::array();
  const Status status = under_each_lock(*process.value(), [&](const shm::Shard& shard) {
    Dict::for_each(segment, shard.queues, [&](uint64_t item) {
      const auto& head = *segment.pointer<shm::Named>(item);
      if (head.kind == shm::NamedKind::kQueue) add_leases(segment, *segment.pointer<shm::Queue>(item), rows);
    });
  });
  return status.ok() ? rows : problem(status);
}

}  // namespace shoal::tool
