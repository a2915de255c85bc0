// SPDX-License-Identifier: MIT
// owner_lock.h: the lock of a shard: one word, waiters:1 | context id:31.
//
// Uncontended: one CAS to take, one exchange to give. Contended: spin about a microsecond, then sleep on the word with
// time-outs of 1, 2, 4, 8, 16 ms; a dead owner is recovered by whoever meets it; past the budget the error names the
// holder, who may be stopped (SIGSTOP): it lives and cannot be robbed.
// Dies at any line: the word names the dead, and the next comer recovers it before it takes the lock.
#pragma once

#include <cstdint>

#include "process/process.h"
#include "transaction/suspect.h"

namespace shoal {

namespace owner_lock {

inline bool try_lock(shm::Atomic<uint32_t>& word, uint32_t self) noexcept {
  uint32_t expected = 0;
  return word.compare_exchange_strong(expected, self, std::memory_order_acquire);
}

// kBusy (budget below the full one), kHolderStopped (number = pid), kCorrupt for a word that names nobody, kSystem for
// a lock that this context already holds.
Status lock_slow(Process& process, shm::Atomic<uint32_t>& word, uint32_t self, int64_t budget_ns) noexcept;

void wake_waiters(shm::Atomic<uint32_t>& word, int count) noexcept;

inline Status lock(Process& process, shm::Atomic<uint32_t>& word, uint32_t self, int64_t budget_ns) noexcept {
  if (__builtin_expect(try_lock(word, self), 1)) return {};
  return lock_slow(process, word, self, budget_ns);
}

inline void unlock(shm::Atomic<uint32_t>& word) noexcept {
  if (__builtin_expect(word.exchange(0, std::memory_order_release) & shm::kWaitersBit, 0)) wake_waiters(word, 1);
}

}  // namespace owner_lock

// The lock of one shard for as long as the object lives, without a transaction: for memory that has a protocol of its
// own (a channel's ring) and for reading. Check ok() first.
class ShardLock {
 public:
  ShardLock(Process& process, shm::Context& self, uint32_t shard, int64_t budget_ns,
            const Purpose& purpose = {}) noexcept
      : word_(process.segment().control_shard(shard).owner) {
    purpose.announce(self);
    status_ = owner_lock::lock(process, word_, self.id.load(std::memory_order_relaxed), budget_ns);
    purpose.announce(self);  // whoever waits may recover somebody, and do his work under its name
  }
  ~ShardLock() { unlock(); }
  ShardLock(const ShardLock&) = delete;
  ShardLock& operator=(const ShardLock&) = delete;

  bool ok() const noexcept { return status_.ok() && !released_; }
  const Status& status() const noexcept { return status_; }
  void unlock() noexcept {
    if (ok()) owner_lock::unlock(word_);
    released_ = true;
  }

 private:
  shm::Atomic<uint32_t>& word_;
  Status status_;
  bool released_ = false;
};

}  // namespace shoal
