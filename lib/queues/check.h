// SPDX-License-Identifier: MIT
// check.h: walks every queue and exchange of a shard and says what is broken. The caller holds the shard's lock, or
// has the
// segment to itself. Reports damage as text and goes on; a damaged link may hide what lies behind it, but is not
// followed.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "segment/segment.h"

namespace shoal::queues {

struct CheckReport {
  std::vector<std::string> problems;
  std::vector<uint64_t> blocks;  // every block that the layer reaches, once for each way to it
};

void check(const Segment& segment, uint32_t shard, CheckReport& report);

}  // namespace shoal::queues
