// SPDX-License-Identifier: MIT
// The segment itself, its processes with their threads, and its shards.
#include <algorithm>
#include <array>
#include <cstdio>
#include <map>

#include "process/context.h"
#include "tools/views.h"
#include "transaction/suspect.h"

namespace shoal::tool {

namespace {

const char* role_name(uint32_t role) {
  constexpr std::array kNames{"client", "daemon", "tool"};
  return role < kNames.size() ? kNames[role] : "unknown";
}

const char* state_name(shm::SegmentState state) {
  return state == shm::SegmentState::kReady ? "ready" : state == shm::SegmentState::kPoisoned ? "poisoned" : "building";
}

std::string hexadecimal(const uint8_t* bytes, size_t count) {
  std::string text;
  char pair[3];
  for (size_t i = 0; i < count; ++i) {
    std::snprintf(pair, sizeof pair, "%02x", bytes[i]);
    text += pair;
  }
  return text;
}

struct Threads {
  uint32_t claimed = 0, asleep = 0, dead = 0;
};

// By the slot that claimed them: a claim is slot index + 1 | slot generation << 16.
std::map<uint32_t, Threads> threads_by_slot(const Segment& segment) {
  std::map<uint32_t, Threads> result;
  const uint32_t high = segment.context_high();
  for (uint32_t index = 0; index < high; ++index) {
    const shm::Context& context = segment.context(index);
    const uint64_t claim = context.claim.load(std::memory_order_acquire);
    if (claim == 0) continue;
    Threads& threads = result[static_cast<uint32_t>(claim & 0xffff) - 1];
    const uint32_t id = context.id.load(std::memory_order_acquire);
    threads.claimed += 1;
    threads.asleep += context.asleep.load(std::memory_order_relaxed) & 1;
    const bool sound = id != 0 && shm::context_index(id) == index;  // else a damaged id
    threads.dead += sound && dead(segment, id) ? 1 : 0;
  }
  return result;
}

Json holder(const SegmentView& view, uint32_t owner) {
  const uint32_t id = owner & ~shm::kWaitersBit;
  if (id == 0) return nullptr;
  if (shm::context_index(id) >= view.segment().context_count()) return "damaged";
  const uint64_t claim = view.segment().context(shm::context_index(id)).claim.load(std::memory_order_acquire);
  const uint32_t slot = static_cast<uint32_t>(claim & 0xffff) - 1;
  const std::string pid = claim != 0 && slot < view.segment().slot_count()
                              ? std::to_string(view.segment().slot(slot).pid)
                              : std::string("?");
  return dead(view.segment(), id) ? pid + " (dead)" : pid;
}

}  // namespace

Json segment_view(const SegmentView& view) {
  Json result = {{"name", view.name().name()},
                 {"path", view.name().shm_path()},
                 {"runtime_dir", view.name().runtime_dir()},
                 {"state", "damaged"},
                 {"owner_uid", view.owner_uid()},
                 {"max_size_bytes", view.file_bytes()},
                 {"physical_bytes", view.physical_bytes()}};
  if (view.problem()) {
    result["problem"] = *view.problem();
    return result;
  }
  const shm::Header& header = view.segment().header();
  result["state"] = state_name(static_cast<shm::SegmentState>(header.state.load(std::memory_order_relaxed)));
  result["committed_bytes"] = header.committed.load(std::memory_order_relaxed);
  result["layout_version"] = header.layout_version;
  result["uuid"] = hexadecimal(header.uuid, sizeof header.uuid);
  result["created_time_ms"] = header.created_ms;
  result["shards"] = header.shard_count;
  result["slots"] = header.slot_count;
  result["contexts"] = header.context_count;
  result["recoveries"] = header.recoveries.load(std::memory_order_relaxed);
  result["longest_recovery_us"] = header.longest_recovery_ns.load(std::memory_order_relaxed) / 1000;
  return result;
}

Json processes_view(const SegmentView& view) {
  Json rows = Json::array();
  const auto threads = threads_by_slot(view.segment());
  for (const uint32_t index : view.used_slots()) {
    const shm::Slot& slot = view.segment().slot(index);
    const auto found = threads.find(index);
    const Threads mine = found == threads.end() ? Threads{} : found->second;
    rows.push_back({{"slot", index},
                    {"pid", slot.pid},
                    {"role", role_name(slot.role.load(std::memory_order_relaxed))},
                    {"alive", view.slot_alive(index)},
                    {"started_time_ms", slot.start_time_ms},
                    {"threads", mine.claimed},
                    {"asleep", mine.asleep},
                    {"dead_threads", mine.dead}});
  }
  return rows;
}

Json shards_view(const SegmentView& view) {
  Json rows = Json::array();
  for (uint32_t index = 0; index < view.segment().shard_count(); ++index) {
    const shm::Shard& shard = view.segment().shard(index);
    uint64_t expiring = 0;
    for (const uint64_t count : shard.database_expires) expiring += count;
    rows.push_back({{"shard", index},
                    {"keys", shard.keys.count.load()},
                    {"expiring", expiring},
                    {"channels", shard.channels.count.load()},
                    {"queues", shard.queues.count.load()},
                    {"used_bytes", shard.bytes_used},
                    {"deaths", suspect::deaths(shard)},
                    {"holder", holder(view, shard.owner.load(std::memory_order_acquire))},
                    {"sequence", shard.sequence.load(std::memory_order_relaxed)}});
  }
  return rows;
}

}  // namespace shoal::tool
