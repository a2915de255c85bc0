// SPDX-License-Identifier: MIT
// shape.h: where the regions of a segment lie. That follows from how many slots, contexts and shards it has.
#pragma once

#include <cstdint>

#include "base/status.h"
#include "segment/layout.h"

namespace shoal {

struct Counts {
  uint32_t slots, contexts, shards;
};

struct Shape {  // offsets
  uint64_t slots, contexts, shards, fixed_end, extents;
  explicit Shape(const Counts& counts) noexcept;
};

// kInvalidArgument if no segment has so many.
Status check_counts(const Counts& counts) noexcept;

// False if no creator writes and no grower leaves such a header: who believed it would leave the segment. Does not look
// at magic, layout version and ABI hash, which come first.
bool shape_is_sound(const shm::Header& header) noexcept;

}  // namespace shoal
