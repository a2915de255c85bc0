// SPDX-License-Identifier: MIT
// wake.h: how a context sleeps and how others wake it.
//
//   A context has two epochs, odd = asleep: `asleep` of its thread (futex), `loop_asleep` of its event loop (FIFO).
//   sleeper: even -> odd; seq_cst fence; look at the rings and keys again; wait; even again; look
//   waker:   publish; seq_cst fence; read e; if odd:
//              a loop     put a byte into its FIFO, then CAS e -> e + 1 (a death in between leaves it odd and rung)
//              a thread   CAS e -> e + 1, then FUTEX_WAKE (the other way round the sleeper may go to sleep in between)
// The word is read first: a system call costs more than a GET. A plain flag instead of the epoch loses wakes: a late
// waker clears the flag of the next sleep. No thread sleeps without a time-out; an event loop sleeps on its FIFO. A
// waker that dies between publish and wake left wake_debt = 1, and recovery rings everybody.
#pragma once

#include <cstdint>
#include <memory>

#include "base/status.h"
#include "process/fifo.h"
#include "process/process.h"

namespace shoal {

// Wakes the context if it sleeps. Call after the publishing store and outside locks; the fence is in here. True if this
// call ended the sleep of its thread or loop.
bool wake_context(Process& process, uint32_t context_id) noexcept;
// Rings every context that may sleep, also one whose waker died after he moved the epoch on (recovery of a wake debt).
void wake_everybody(Process& process) noexcept;
// Nobody ends a sleep of this context any more: who tries from now on knows that it will pass no wake on (relay.h), and
// who succeeded before has left his kPassOn. For the dead, and for a context between two threads.
void end_sleeps(shm::Context& context) noexcept;

// A thread's sleep. prepare(); look again; wait() or cancel(); look again. Works in an event loop's thread, too: the
// loop's own sleep has its own word.
class ThreadSleep {
 public:
  ThreadSleep(Process& process, shm::Context& context) noexcept : process_(process), context_(context) {}
  ~ThreadSleep() { cancel(); }
  ThreadSleep(const ThreadSleep&) = delete;
  ThreadSleep& operator=(const ThreadSleep&) = delete;

  void prepare() noexcept;  // `asleep` becomes odd, fence
  // FUTEX_WAIT of at most timeout_ns (and at most kThreadSleepMaxNs); even again. False if the whole time-out passed;
  // true on a wake and on EINTR. Signal handlers of the language run in the caller. At its end the process's upkeep:
  // the caller holds no lock and has no transaction open.
  bool wait(int64_t timeout_ns) noexcept;
  void cancel() noexcept;  // even again without waiting

 private:
  Process& process_;
  shm::Context& context_;
  uint32_t epoch_ = 0;  // odd between prepare and the end
};

// An event loop's sleep: a FIFO whose descriptor the loop polls. Made in the loop's own thread, for this thread's
// context; one in use at a time per context (the loops of a thread that follow each other share its FIFO). All calls in
// that thread, but it may be destroyed in another. In a forked child it is dead weight: fd() is the parent's FIFO,
// arm() does nothing.
class LoopWaker {
 public:
  static Result<std::unique_ptr<LoopWaker>> create(Process& process);
  ~LoopWaker();
  LoopWaker(const LoopWaker&) = delete;
  LoopWaker& operator=(const LoopWaker&) = delete;

  int fd() const noexcept { return fifo_.fd; }
  void arm() noexcept;  // odd + fence: the caller must look at its sources again before it waits
  // Even: the caller must look at its sources. The FIFO stays readable until drain() or arm(), so that what it was
  // woken for need not wait for a system call.
  void rouse(Process& process) noexcept;
  void drain() noexcept;
  void disarm(Process& process) noexcept {  // both
    rouse(process);
    drain();
  }
  uint32_t context_id() const noexcept { return context_id_; }

 private:
  LoopWaker() = default;
  bool ours() const noexcept;  // not forked, not reaped

  std::shared_ptr<Segment> segment_;  // the context outlives the Process that it came from
  shm::Context* context_ = nullptr;
  uint32_t context_id_ = 0;
  uint64_t nonce_ = 0;
  FifoHandle fifo_;
  bool armed_ = false;  // ... by this one; a thread may have several, of which one is in use
  bool rung_ = false;   // there may be bytes in the FIFO
};

}  // namespace shoal
