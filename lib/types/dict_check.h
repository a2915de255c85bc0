// SPDX-License-Identifier: MIT
// dict_check.h: walks a dict that may be damaged. Every block is visited before it is followed, so no walk leaves the
// segment or turns in a ring.
//
// Whoever may build a BlockCheck calls it, under the same locks; it only reads.
#pragma once

#include "transaction/block_check.h"
#include "types/dict.h"

namespace shoal {

// Calls `on_item(offset)` for each slot of a dict that may be damaged, for whoever has no BlockCheck: it keeps to the
// segment's extents, meets no more buckets than fit into them, and gives out no more items than the root counts. False:
// the table is damaged, and not all of it was seen; true, and every walk that Dict makes keeps to the extents, too, and
// ends. What lies at the offsets is the caller's to doubt.
template <typename OnItem>
bool for_each_doubtful(const Segment& segment, const shm::DictRoot& root, OnItem&& on_item) noexcept {
  constexpr uint32_t kPerSegment = Dict::kBucketsPerSegment, kPerNode = kPerSegment * Dict::kFanout;
  const uint64_t most = segment.committed() / sizeof(shm::Bucket), count = root.count.load();
  const uint32_t buckets = root.buckets.load(), depth = root.depth.load();
  if (depth > 2 || buckets > most) return false;
  const auto follow = [&](uint64_t& place, uint64_t index) noexcept {
    if (place % 8 != 0 || !segment.contains(place, Dict::kFanout * 8)) return false;
    place = segment.pointer<Dict::Slot>(place)[index].load();
    return true;
  };
  uint64_t met = 0, items = 0;
  for (uint32_t number = 0; number < buckets; ++number) {
    uint64_t place = root.table.load();
    if (depth == 2 && !follow(place, number / kPerNode % Dict::kFanout)) return false;
    if (depth >= 1 && !follow(place, number / kPerSegment % Dict::kFanout)) return false;
    place += uint64_t{depth == 0 ? number : number % kPerSegment} * sizeof(shm::Bucket);
    do {
      if (met++ == most || place % sizeof(shm::Bucket) != 0 || !segment.contains(place, sizeof(shm::Bucket)))
        return false;
      const auto& bucket = *segment.pointer<shm::Bucket>(place);
      for (const Dict::Slot& slot : bucket.slots) {
        const uint64_t value = slot.load();
        if (value == 0) continue;
        if (items++ == count) return false;
        on_item(Dict::item_of(value));
      }
      place = bucket.overflow.load();
    } while (place != 0);
  }
  return true;
}

class DictCheck {
 public:
  DictCheck(BlockCheck& blocks, const shm::DictRoot& root) noexcept
      : blocks_(blocks), segment_(blocks.segment()), root_(root), where_(segment_.offset_of(&root)) {}

  // Calls `on_item(offset)` for each item: it says the item's hash, or false in `good` if the item is damaged (and then
  // has noted so itself). True if the table is sound, and with it every walk that Dict makes.
  template <typename OnItem>
  bool walk(OnItem&& on_item) noexcept {
    const size_t before = blocks_.findings().size();
    if (visit_tables()) {
      uint64_t items = 0;
      for (uint32_t number = 0; number < root_.buckets.load(); ++number) items += walk_chain(number, on_item);
      if (items != root_.count.load()) blocks_.found("a dict counts its items wrongly", where_, root_.count.load());
    }
    return blocks_.findings().size() == before;
  }

 private:
  static constexpr uint32_t kPerSegment = Dict::kBucketsPerSegment, kPerNode = kPerSegment * Dict::kFanout;

  bool damaged(const char* what, uint64_t number) noexcept {
    blocks_.found(what, where_, number);
    return false;
  }
  uint64_t link(uint64_t node, uint32_t index) const noexcept {
    return segment_.pointer<Dict::Slot>(node)[index].load();
  }

  // The directory and the bucket segments.
  bool visit_tables() noexcept {
    const uint32_t buckets = root_.buckets.load(), depth = root_.depth.load();
    if (buckets == 0) {
      if (root_.table.load() != 0 || root_.count.load() != 0 || depth != 0)
        return damaged("an empty dict is not empty", buckets);
      return true;
    }
    const uint64_t most = depth == 0 ? kPerSegment : depth == 1 ? kPerNode : Dict::kBucketsMax;
    const uint64_t least = depth == 0 ? 1 : depth == 1 ? kPerSegment + 1 : kPerNode + 1;
    if (depth > 2 || buckets > most || buckets < least)
      return damaged("a dict's depth does not fit its buckets", depth);
    if (depth == 0) return visit_segment(root_.table.load(), buckets);
    return visit_node(root_.table.load(), depth, buckets);
  }
  bool visit_segment(uint64_t segment, uint32_t buckets) noexcept {
    if (!blocks_.visit(segment)) return false;
    return blocks_.capacity(segment) >= uint64_t{buckets} * sizeof(shm::Bucket) ||
           damaged("a dict's table is too short", segment);
  }
  bool visit_node(uint64_t node, uint32_t depth, uint32_t buckets) noexcept {
    if (!blocks_.visit(node)) return false;
    if (blocks_.capacity(node) < Dict::kFanout * 8) return damaged("a dict's directory is too short", node);
    const uint32_t each = depth == 1 ? kPerSegment : kPerNode;
    uint32_t index = 0;
    for (uint64_t from = 0; from < buckets; from += each, ++index) {
      const uint64_t child = link(node, index);
      const auto left = static_cast<uint32_t>(buckets - from < each ? buckets - from : each);
      if (depth == 1 ? !visit_segment(child, kPerSegment) : !visit_node(child, 1, left)) return false;
    }
    for (; index < Dict::kFanout; ++index) {
      if (link(node, index) != 0) return damaged("a dict's directory names more than its buckets", index);
    }
    return true;
  }

  const shm::Bucket* bucket_at(uint32_t number) const noexcept {
    uint64_t table = root_.table.load();
    if (root_.depth.load() == 2) table = link(table, number / kPerNode);
    if (root_.depth.load() >= 1) table = link(table, number / kPerSegment % Dict::kFanout);
    return segment_.pointer<shm::Bucket>(table) + (root_.depth.load() == 0 ? number : number % kPerSegment);
  }

  template <typename OnItem>
  uint64_t walk_chain(uint32_t number, OnItem& on_item) noexcept {
    uint64_t items = 0;
    bool ended = false;
    for (const shm::Bucket* bucket = bucket_at(number);;) {
      for (const Dict::Slot& slot : bucket->slots) {
        const uint64_t value = slot.load();
        if (value == 0) {
          ended = true;
          continue;
        }
        if (ended) blocks_.found("a bucket has a gap", where_, number);
        ++items;
        bool good = true;
        const uint64_t hash = on_item(Dict::item_of(value), good);
        if (!good) continue;
        if ((hash >> 32 & 0xffff) != value >> 48)
          blocks_.found("an item's tag is not that of its hash", where_, Dict::item_of(value));
        if (Dict::bucket_of(hash, root_.buckets.load()) != number) {
          blocks_.found("an item lies in another bucket than its hash says", where_, Dict::item_of(value));
        }
      }
      const uint64_t next = bucket->overflow.load();
      if (next == 0) return items;
      if (ended) blocks_.found("a bucket with room has an overflow bucket", where_, number);
      if (!blocks_.visit(next) || blocks_.capacity(next) < sizeof(shm::Bucket)) return items;
      bucket = segment_.pointer<shm::Bucket>(next);
      if (bucket->slots[0].load() == 0) blocks_.found("an overflow bucket is empty", where_, number);
    }
  }

  BlockCheck& blocks_;
  const Segment& segment_;
  const shm::DictRoot& root_;
  uint64_t where_;
};

}  // namespace shoal
