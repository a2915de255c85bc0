// SPDX-License-Identifier: MIT
// timed.h: an operation in flight: the watchdog sees it, and its time goes into the histogram of the phase.
#pragma once

#include <ctime>

#include "base/clock.h"
#include "tools/torture/performer.h"

namespace shoal::tool::chaos {

class Performer::Timed {
 public:
  // `waits`: it waits by intent, so its time says nothing.
  Timed(Performer& performer, Op op, bool waits = false) noexcept
      : performer_(performer), actor_(performer.actor_), op_(op), waits_(waits) {
    actor_.op.store(op, std::memory_order_relaxed);
    begun_cpu_ns_ = cpu_ns();
    begun_ns_ = monotonic_ns();
    actor_.began_ns.store(begun_ns_, std::memory_order_release);
  }
  ~Timed() {
    const auto taken = static_cast<uint64_t>(monotonic_ns() - begun_ns_);
    const auto phase = static_cast<uint32_t>(performer_.record_.phase.load(std::memory_order_relaxed));
    if (!waits_) (op_ == Op::kLock ? actor_.lock_waits : actor_.times)[phase].add(taken);
    note_slowest(actor_.slowest[phase], taken);
    actor_.operations.store(actor_.operations.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    actor_.began_ns.store(0, std::memory_order_release);
  }
  Timed(const Timed&) = delete;
  Timed& operator=(const Timed&) = delete;

 private:
  // The scheduler's count is looked at where a millisecond may have been lost, and now and then: what it says of a slow
  // operation is right within that.
  void note_slowest(Slowest& slowest, uint64_t taken) noexcept {
    constexpr uint64_t kSlowNs = 1'000'000, kEvery = 256;
    const bool slow = taken > kSlowNs;
    if (!slow && actor_.operations.load(std::memory_order_relaxed) % kEvery != 0) return;
    if (!performer_.run_delay_) performer_.run_delay_.emplace();
    const uint64_t queued = performer_.run_delay_->since_last_ns();
    if (waits_ || op_ == Op::kLock || taken <= slowest.ns.load()) return;
    slowest.ns.store(taken);
    slowest.op.store(op_);
    slowest.off_cpu_ns.store(taken - std::min(taken, static_cast<uint64_t>(cpu_ns() - begun_cpu_ns_)));
    slowest.queued_ns.store(std::min(taken, queued));
  }
  static int64_t cpu_ns() noexcept {
    timespec now{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * 1'000'000'000 + now.tv_nsec;
  }
  Performer& performer_;
  Actor& actor_;
  const Op op_;
  const bool waits_;
  int64_t begun_ns_, begun_cpu_ns_;
};

}  // namespace shoal::tool::chaos
