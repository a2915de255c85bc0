// SPDX-License-Identifier: MIT
#include "commands/reap.h"

#include <atomic>

#include "queues/lease.h"
#include "transaction/recovery.h"

namespace shoal {

namespace {

// Something may have been left behind: by a reaper of this process that met a lock of a stopped holder, or before our time.
std::atomic<bool> leftovers{true};

void reap(Process& process, uint32_t slot) {
  const uint64_t generation = process.segment().slot(slot).generation.load(std::memory_order_acquire);
  if (!queues::release_slot(process, slot, generation).ok()) leftovers = true;
}

}  // namespace

void install_reaper() noexcept { Process::set_reap(&reap); }

uint32_t sweep(Process& process) noexcept {
  const Result<shm::Context*> context = process.context();
  if (!context.ok()) return 0;
  recover_all(process, context.value()->id.load(std::memory_order_relaxed));
  const uint32_t reaped = process.reap_dead_slots();
  if (leftovers.exchange(false) && !queues::release_stale(process).ok()) leftovers = true;
  return reaped;
}

}  // namespace shoal
