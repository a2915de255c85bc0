// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "segment/segment.h"

namespace shoal {

class Call;

// What PUBLISH locks inside MULTI/EXEC; by itself it locks its rings one after the other.
uint64_t publish_shards(const Segment& segment, std::span<const Bytes> arguments, uint32_t database) noexcept;
void cmd_publish(Call& call);
void cmd_pubsub_channels(Call& call);
void cmd_pubsub_numpat(Call& call);
void cmd_pubsub_numsub(Call& call);

}  // namespace shoal
