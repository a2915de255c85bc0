// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "segment/segment.h"

namespace shoal {

class Call;

uint64_t sort_shards(const Segment& segment, std::span<const Bytes> arguments, uint32_t database) noexcept;
void cmd_sort(Call& call);

}  // namespace shoal
