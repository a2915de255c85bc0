// SPDX-License-Identifier: MIT
#include "transaction/owner_lock.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <ctime>

#include "base/clock.h"
#include "transaction/recovery.h"

namespace shoal::owner_lock {

namespace {

void pause_cpu() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

bool spin(shm::Atomic<uint32_t>& word, uint32_t self) noexcept {
  const int64_t end = monotonic_ns() + kLockSpinNs;
  do {
    for (int i = 0; i < 16; ++i) {
      if (word.load(std::memory_order_relaxed) == 0 && try_lock(word, self)) return true;
      pause_cpu();
    }
  } while (monotonic_ns() < end);
  return false;
}

void sleep_on(shm::Atomic<uint32_t>& word, uint32_t value, int64_t timeout_ns) noexcept {
  const timespec timeout{timeout_ns / 1'000'000'000, timeout_ns % 1'000'000'000};
  ::syscall(SYS_futex, &word, FUTEX_WAIT, value, &timeout, nullptr, 0);
}

}  // namespace

Status lock_slow(Process& process, shm::Atomic<uint32_t>& word, uint32_t self, int64_t budget_ns) noexcept {
  if (spin(word, self)) return {};
  const int64_t deadline = monotonic_ns() + budget_ns;
  int64_t nap_ns = 1'000'000;
  for (;;) {
    const uint32_t value = word.load(std::memory_order_acquire);
    const uint32_t holder = value & ~shm::kWaitersBit;
    if (holder == 0) {  // others may still sleep here: take it with their bit
      uint32_t expected = value;
      if (word.compare_exchange_strong(expected, self | shm::kWaitersBit, std::memory_order_acquire)) return {};
      continue;
    }
    if (holder == self) return {Code::kSystem, "a lock was taken twice by one thread"};
    // A recoverer who is stopped in his work is waited for like any holder.
    bool nobody = shm::context_index(holder) >= process.segment().context_count();  // a word that no locker wrote
    if (!nobody && dead(process.segment(), holder) && recover(process, self, holder)) {
      nobody = word.load(std::memory_order_acquire) == value;
      if (!nobody) continue;
    }
    const int64_t left_ns = deadline - monotonic_ns();
    if (left_ns <= 0) {
      if (nobody) {
        return {Code::kCorrupt,
                "the segment is damaged: a lock's holder does not exist; stop its users and run `shoal rm`"};
      }
      const uint32_t pid = holder_pid(process.segment(), holder);
      if (budget_ns < kLockBudgetNs) return {Code::kBusy, "BUSY a shard is locked; its holder's pid is", pid};
      return {Code::kHolderStopped, "a shard stays locked; its holder is stopped or starved", pid};
    }
    uint32_t expected = value;
    if ((value & shm::kWaitersBit) == 0 && !word.compare_exchange_strong(expected, value | shm::kWaitersBit)) continue;
    sleep_on(word, value | shm::kWaitersBit, std::min(nap_ns, left_ns));
    nap_ns = std::min<int64_t>(nap_ns * 2, 16'000'000);
  }
}

void wake_waiters(shm::Atomic<uint32_t>& word, int count) noexcept {
  ::syscall(SYS_futex, &word, FUTEX_WAKE, count, nullptr, nullptr, 0);
}

}  // namespace shoal::owner_lock
