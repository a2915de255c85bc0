// SPDX-License-Identifier: MIT
// The map of a segment, printed from the constants that the code runs on. tests/golden/layout.txt holds the text: a
// difference there means a new kLayoutVersion.
#include <sys/mman.h>

#include "tools/views.h"

namespace shoal::tool {

namespace {

struct Record {
  const char* name;
  const char* is;
  size_t bytes;
};

constexpr Record kRecords[] = {
    {"Header", "the first page", sizeof(shm::Header)},
    {"Slot", "a process", sizeof(shm::Slot)},
    {"Context", "a thread", sizeof(shm::Context)},
    {"Shard", "a lock and what it guards", sizeof(shm::Shard)},
    {"Extent", "the head of each MiB", sizeof(shm::Extent)},
    {"Page", "one of an extent's pages", sizeof(shm::Page)},
    {"PageUse", "how its blocks are used", sizeof(shm::PageUse)},
    {"ChunkHeader", "a piece of an undo journal", sizeof(shm::ChunkHeader)},
    {"Bookmark", "how far a subscriber has read", sizeof(shm::Bookmark)},
    {"DictRoot", "a hash table", sizeof(shm::DictRoot)},
};

// A segment of the default shape, formatted in private memory.
class DefaultSegment {
 public:
  DefaultSegment() : memory_(::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {
    SHOAL_ASSERT(memory_ != MAP_FAILED);
    auto made = Segment::format_memory(static_cast<std::byte*>(memory_), SegmentOptions{});
    SHOAL_ASSERT(made.ok());
    segment_ = std::move(made).value();
  }
  ~DefaultSegment() { ::munmap(memory_, kBytes); }
  DefaultSegment(const DefaultSegment&) = delete;
  const Segment& get() const { return *segment_; }

 private:
  static constexpr size_t kBytes = 16 * kMiB;
  void* memory_;
  std::unique_ptr<Segment> segment_;
};

}  // namespace

Json regions_view(const Segment& segment) {
  const shm::Header& h = segment.header();
  Json rows = Json::array();
  const auto add = [&](const char* region, uint64_t from, uint64_t to, Json count, const char* holds) {
    rows.push_back(
        {{"region", region}, {"offset", from}, {"end", to}, {"records", std::move(count)}, {"holds", holds}});
  };
  add("header", 0, sizeof(shm::Header), 1, "identity, shape, global words");
  add("bookmarks", sizeof(shm::Header), h.slots_offset, shm::kBookmarkCount, "how far a subscriber has read each");
  add("slots", h.slots_offset, h.contexts_offset, h.slot_count, "a process each");
  add("contexts", h.contexts_offset, h.shards_offset, h.context_count, "a thread each");
  add("shards", h.shards_offset, h.fixed_end, h.shard_count, "a lock and what it guards each");
  add("gap", h.fixed_end, h.extents_offset, nullptr, "a hole up to the first whole MiB");
  add("extents", h.extents_offset, h.max_size, (h.max_size - h.extents_offset) / kExtentBytes,
      "1 MiB each: page table, then pages; physical up to committed");
  return rows;
}

Json layout_document() {
  const DefaultSegment segment;
  Json result = {{"layout_version", shm::kLayoutVersion},
                 {"page_bytes", kPageBytes},
                 {"extent_bytes", kExtentBytes},
                 {"regions", regions_view(segment.get())},
                 {"records", Json::array()}};
  for (const Record& record : kRecords) {
    result["records"].push_back({{"record", record.name}, {"size", record.bytes}, {"is", record.is}});
  }
  return result;
}

std::string layout_text() {
  const Json document = layout_document();
  return "layout version " + document["layout_version"].dump() + "\n\nA segment of the default shape\n" +
         for_people(document["regions"]) + "\nIts fixed records, in bytes\n" + for_people(document["records"]);
}

}  // namespace shoal::tool
