// SPDX-License-Identifier: MIT
// worker.h: a worker process: its main thread, now and then a second thread, now and then a forked child.
#pragma once

#include "segment/name.h"
#include "tools/torture/record.h"

namespace shoal::tool::chaos {

// In a child that the controller forked, for the seat that it has claimed. Ends the process.
[[noreturn]] void run_worker(Record& record, const SegmentName& name, uint32_t lane, uint64_t life);

// Sits down with this process's pid; false: the seat was taken back meanwhile.
bool sit_down(Actor& actor, uint64_t life) noexcept;

}  // namespace shoal::tool::chaos
