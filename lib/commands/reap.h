// SPDX-License-Identifier: MIT
// reap.h: what a dead process held, given back layer by layer. Called for a slot whose process is gone (by the daemon,
// and by any process when there is no daemon) and for the own slot when a Process is destroyed.
//
// Each part is a loop of transactions and idempotent: a reaper that dies is followed by another, who goes on.
#pragma once

#include "base/limits.h"
#include "process/process.h"

namespace shoal {

// Tells process/ what to do with a slot between begin_reaping() and finish_reaping(). Done when a program is loaded
// that links all of the layer (shoal_link_all_layers).
void install_reaper() noexcept;

// Recovers dead threads and reaps dead processes now; gives how many processes. What the daemon does at its own pace.
// On an event loop with its budget for each lock: what lies behind a lock that stays held is left to the next sweep, by
// whomever.
uint32_t sweep(Process& process, int64_t budget_ns = kLockBudgetNs) noexcept;

}  // namespace shoal
