// SPDX-License-Identifier: MIT
// stuck.h: what everybody was doing, for the report of a run in which something hangs.
#pragma once

#include <string>
#include <vector>

#include "segment/segment.h"
#include "tools/torture/record.h"

namespace shoal::tool::chaos {

// An actor whose operation has taken longer than `limit_ns`, or -1.
int find_stuck(const Record& record, int64_t limit_ns) noexcept;
// A line for each actor and for each lock that is held.
std::vector<std::string> what_everybody_does(const Record& record, const Segment& segment);

}  // namespace shoal::tool::chaos
