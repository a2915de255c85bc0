// SPDX-License-Identifier: MIT
#include "daemon/grow_task.h"

#include <algorithm>

#include "daemon/log.h"

namespace shoal::daemon {

using namespace std::chrono_literals;

namespace {
constexpr uint64_t kReserveBytesMin = 2 * kMiB, kReserveBytesMax = 64 * kMiB;
}

// Stops counting when there are enough; looks only into extents that may have any.
uint64_t GrowTask::free_pages(uint64_t enough) const noexcept {
  Segment& segment = process_.segment();
  uint64_t free = 0;
  for (uint64_t at = segment.committed(); at > segment.extents_offset() && free < enough;) {
    at -= kExtentBytes;  // the newest extents are the emptiest
    const auto extent = static_cast<uint32_t>(at / kExtentBytes);
    if (segment.control_extent(extent).maybe_free.load(std::memory_order_relaxed) == 0) continue;
    for (uint32_t page = shm::kExtentHeadPages; page < kPagesPerExtent; ++page) {
      const uint64_t owner = segment.page(extent * kPagesPerExtent + page).owner.load(std::memory_order_relaxed);
      free += shm::page_kind(owner) == shm::PageKind::kFree;
    }
  }
  return free;
}

std::chrono::milliseconds GrowTask::turn() {
  Segment& segment = process_.segment();
  const uint64_t committed = segment.committed();
  const uint64_t room = std::max(segment.max_committed(), committed) - committed;
  const uint64_t reserve = std::min(std::clamp(committed / 8, kReserveBytesMin, kReserveBytesMax), room);
  const uint64_t wanted = reserve / kPageBytes * 15 / 16;  // a little less than what growing by the reserve gives
  if (free_pages(wanted) >= wanted) return 100ms;
  if (const Status status = segment.grow(reserve); !status.ok()) {
    if (!refused_) log_warning("cannot grow the segment: " + describe(status));
    refused_ = true;
    return 5000ms;
  }
  refused_ = false;
  log_debug("grew the segment to " + std::to_string(segment.committed() / kMiB) + " MiB");
  return 10ms;
}

}  // namespace shoal::daemon
