// SPDX-License-Identifier: MIT
#include "segment/shape.h"

#include <bit>

#include "base/bytes.h"
#include "base/limits.h"

namespace shoal {

Shape::Shape(const Counts& counts) noexcept {
  slots = sizeof(shm::Header) + shm::kBookmarkCount * sizeof(shm::Bookmark);
  contexts = round_up(slots + uint64_t{counts.slots} * sizeof(shm::Slot), kPageBytes);
  shards = round_up(contexts + uint64_t{counts.contexts} * sizeof(shm::Context), kPageBytes);
  fixed_end = round_up(shards + uint64_t{counts.shards} * sizeof(shm::Shard), kPageBytes);
  extents = round_up(fixed_end, kExtentBytes);
}

Status check_counts(const Counts& counts) noexcept {
  if (!std::has_single_bit(counts.shards) || counts.shards > kShardCountMax) {
    return {Code::kInvalidArgument, "shards must be a power of two of at most", kShardCountMax};
  }
  if (counts.contexts <= kReservedContextCount || counts.contexts > kContextCountMax) {
    return {Code::kInvalidArgument, "contexts must be more than 8 and at most", kContextCountMax};
  }
  if (counts.slots == 0 || counts.slots > kContextCountMax) {
    return {Code::kInvalidArgument, "slots must be 1 to", kContextCountMax};
  }
  return {};
}

bool shape_is_sound(const shm::Header& header) noexcept {
  const Counts counts{header.slot_count, header.context_count, header.shard_count};
  if (!check_counts(counts).ok()) return false;
  const Shape shape(counts);
  const uint64_t committed = header.committed.load(std::memory_order_acquire);
  return header.slots_offset == shape.slots && header.contexts_offset == shape.contexts &&
         header.shards_offset == shape.shards && header.fixed_end == shape.fixed_end &&
         header.extents_offset == shape.extents && committed % kExtentBytes == 0 && committed > shape.extents &&
         committed <= header.max_size;
}

}  // namespace shoal
