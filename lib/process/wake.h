// SPDX-License-Identifier: MIT
// wake.h: how a context sleeps and how others wake it.
//
//   asleep is an epoch, odd = asleep.
//   sleeper: asleep even -> odd; seq_cst fence; look at the rings and keys again; wait; even again
//   waker:   publish; seq_cst fence; read e; if odd: reach the sleeper (FIFO byte or futex), then CAS e -> e + 1
// The word is read first: a system call costs more than a GET. No thread sleeps without a time-out; an event loop sleeps on
// its FIFO. A waker that dies between publish and wake left wake_debt = 1 and recovery rings everybody.
#pragma once

#include <cstdint>
#include <memory>

#include "base/status.h"
#include "process/process.h"

namespace shoal {

// Wakes the context if it sleeps. Async-signal-safe apart from the FIFO cache; call outside locks. EAGAIN is success.
// FIFOs are opened O_RDWR|O_NONBLOCK once and kept open in a cache of this process, keyed by context index and generation.
void wake_context(Process& process, uint32_t context_id) noexcept;
// Rings every sleeping context (recovery of a wake debt).
void wake_everybody(Process& process) noexcept;

// A thread's sleep. prepare(); look again; wait() or cancel().
class ThreadSleep {
 public:
  explicit ThreadSleep(shm::Context& context) noexcept : context_(context) {}
  void prepare() noexcept;                      // asleep becomes odd, fence
  void wait(int64_t timeout_ns) noexcept;       // FUTEX_WAIT of at most timeout_ns; returns on wake, time-out or EINTR; even again
  void cancel() noexcept;                       // even again without waiting

 private:
  shm::Context& context_;
};

// An event loop's sleep: a FIFO whose descriptor the loop polls. Made in the loop's own thread; marks the context kFifo.
class LoopWaker {
 public:
  static Result<std::unique_ptr<LoopWaker>> create(Process& process);
  ~LoopWaker();                                 // removes the FIFO
  int fd() const noexcept { return fd_; }
  void arm() noexcept;                          // odd + fence: the caller must look at its sources again before it waits
  void disarm() noexcept;                       // even, and the FIFO is drained
  uint32_t context_id() const noexcept { return context_id_; }

 private:
  LoopWaker() = default;
  Process* process_ = nullptr;
  shm::Context* context_ = nullptr;
  uint32_t context_id_ = 0;
  std::string path_;
  int fd_ = -1;
};

}  // namespace shoal
