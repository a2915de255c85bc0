// SPDX-License-Identifier: MIT
#include <algorithm>

#include "tools/views.h"

namespace shoal::tool {

namespace {

Json row(const SegmentName& name) {
  Json row = {{"name", name.name()},       {"state", "ready"},          {"processes", nullptr},
              {"daemon", nullptr},         {"keys", nullptr},           {"memory_bytes", nullptr},
              {"max_size_bytes", nullptr}, {"created_time_ms", nullptr}};
  auto view = SegmentView::open(name);
  if (!view.ok()) {
    row["state"] = describe(view.status());
    return row;
  }
  row["memory_bytes"] = view.value().physical_bytes();
  row["max_size_bytes"] = view.value().file_bytes();
  if (view.value().problem()) {
    row["state"] = *view.value().problem();
    return row;
  }
  const Segment& segment = view.value().segment();
  uint32_t alive = 0;
  bool daemon = false;
  for (const uint32_t index : view.value().used_slots()) {
    if (!view.value().slot_alive(index)) continue;
    const bool is_daemon =
        segment.slot(index).role.load(std::memory_order_relaxed) == static_cast<uint32_t>(shm::SlotRole::kDaemon);
    daemon |= is_daemon;
    alive += is_daemon ? 0 : 1;
  }
  uint64_t keys = 0;
  for (uint32_t shard = 0; shard < segment.shard_count(); ++shard) {
    for (const uint64_t count : segment.shard(shard).database_keys) keys += count;
  }
  if (segment.header().state.load(std::memory_order_relaxed) == static_cast<uint32_t>(shm::SegmentState::kPoisoned)) {
    row["state"] = "poisoned";
  }
  row["processes"] = alive;
  row["daemon"] = daemon;
  row["keys"] = keys;
  row["created_time_ms"] = segment.header().created_ms;
  return row;
}

}  // namespace

Json list_segments() {
  Json rows = Json::array();
  for (const SegmentName& name : all_segments()) rows.push_back(row(name));
  return rows;
}

}  // namespace shoal::tool
