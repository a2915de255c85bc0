// SPDX-License-Identifier: MIT
#include "commands/reap.h"

#include <atomic>

#include "base/clock.h"
#include "channels/subscription.h"
#include "keyspace/waiters.h"
#include "process/relay.h"
#include "queues/lease.h"
#include "transaction/recovery.h"

namespace shoal {

namespace {

// Something may have been left behind before our time.
std::atomic<bool> leftovers{true};

// Of the sweep that this thread is in: process/ does not know of locks and cannot hand it through.
constinit thread_local int64_t sweep_budget_ns = kLockBudgetNs;

// Subscriptions of threads that ended while their process lives on: publishers pass over them, so there is no hurry.
constexpr int64_t kStaleSubscriptionsNs = 10'000'000'000;
std::atomic<int64_t> next_stale_look{0};

bool reap(Process& process, uint32_t slot) {
  const int64_t budget_ns = sweep_budget_ns;
  if (const Result<shm::Context*> self = process.context(); self.ok())
    channels::remove_all_stale(process, *self.value(), budget_ns);
  const uint64_t generation = process.segment().slot(slot).generation.load(std::memory_order_acquire);
  const bool leases = queues::release_slot(process, slot, generation, budget_ns).ok();
  return waiters::release_slot(process, slot, generation, budget_ns).ok() && leases;
}

// process/ lies below: this is how it reaches us.
[[maybe_unused]] const bool installed = (install_reaper(), true);

}  // namespace

void install_reaper() noexcept { Process::set_reap(&reap); }

uint32_t sweep(Process& process, int64_t budget_ns) noexcept {
  const Result<shm::Context*> context = process.context();
  if (!context.ok()) return 0;
  sweep_budget_ns = budget_ns;
  recover_all(process, context.value()->id.load(std::memory_order_relaxed));
  relay_all(process, *context.value());
  const uint32_t reaped = process.reap_dead_slots();
  if (const int64_t now = monotonic_ns(); now >= next_stale_look) {
    next_stale_look = now + kStaleSubscriptionsNs;
    channels::remove_all_stale(process, *context.value(), budget_ns);
  }
  if (leftovers.exchange(false) && !queues::release_stale(process, budget_ns).ok()) leftovers = true;
  sweep_budget_ns = kLockBudgetNs;
  return reaped;
}

}  // namespace shoal
