// SPDX-License-Identifier: MIT
// Memory by class, from the page tables alone: they are in the fixed part of each extent and need no lock to be
// counted.
#include <map>

#include "tools/views.h"
#include "transaction/size_class.h"

namespace shoal::tool {

namespace {

struct ClassUse {
  uint64_t pages = 0, blocks = 0, room = 0;
};

struct Census {
  uint64_t free = 0, claimed = 0, journal = 0, owned = 0, spans = 0, span_pages = 0, heads = 0, strange = 0;
  std::map<uint32_t, ClassUse> classes;
};

void count_owned(const shm::Page& page, Census& census) {
  census.owned += page.use.span;
  if (page.use.size_class == shm::kSpanClass) {
    census.spans += 1;
    census.span_pages += page.use.span;
  } else if (page.use.size_class < kClassBytes.size()) {
    ClassUse& use = census.classes[page.use.size_class];
    use.pages += page.use.span;
    use.blocks += page.use.used;
    use.room += class_blocks(page.use.size_class);
  } else {
    census.strange += 1;
  }
}

// Tails are counted with the first page of their span.
Census take_census(const Segment& segment) {
  Census census;
  for (uint64_t extent = segment.extents_offset(); extent < segment.committed(); extent += kExtentBytes) {
    census.heads += shm::kExtentHeadPages;
    for (uint32_t i = shm::kExtentHeadPages; i < kPagesPerExtent; ++i) {
      const shm::Page& page = segment.page(static_cast<uint32_t>(extent / kPageBytes) + i);
      switch (shm::page_kind(page.owner.load(std::memory_order_relaxed))) {
        case shm::PageKind::kFree:
          census.free += 1;
          break;
        case shm::PageKind::kClaimed:
          census.claimed += page.use.span;
          break;
        case shm::PageKind::kJournal:
          census.journal += page.use.span;
          break;
        case shm::PageKind::kOwned:
          count_owned(page, census);
          break;
        case shm::PageKind::kTail:
          break;
        default:
          census.strange += 1;
      }
    }
  }
  return census;
}

}  // namespace

Json memory_view(const SegmentView& view) {
  const Segment& segment = view.segment();
  const Census census = take_census(segment);
  uint64_t used = 0;
  for (uint32_t shard = 0; shard < segment.shard_count(); ++shard) used += segment.shard(shard).bytes_used;
  Json classes = Json::array();
  for (const auto& [index, use] : census.classes) {
    classes.push_back({{"block_bytes", kClassBytes[index]},
                       {"blocks", use.blocks},
                       {"room", use.room},
                       {"pages", use.pages},
                       {"used_bytes", use.blocks * kClassBytes[index]}});
  }
  return {{"fixed_bytes", segment.extents_offset()},
          {"extents_bytes", segment.committed() - segment.extents_offset()},
          {"page_tables_bytes", census.heads * kPageBytes},
          {"free_bytes", census.free * kPageBytes},
          {"journals_bytes", census.journal * kPageBytes},
          {"in_transit_bytes", census.claimed * kPageBytes},
          {"shards_bytes", census.owned * kPageBytes},
          {"handed_out_bytes", used},
          {"large_block_count", census.spans},
          {"large_blocks_bytes", census.span_pages * kPageBytes},
          {"damaged_pages", census.strange},
          {"classes", classes}};
}

}  // namespace shoal::tool
