// SPDX-License-Identifier: MIT
// process.h: this process's membership of one segment: its slot, its life lock, and a context for each thread that
// calls.
//
// Thread-safe. `context()` is the hot path: a thread-local look-up, no system call. After fork the child finds itself
// unattached (the nonce page reads zero) and attaches anew with a slot and life byte of its own; the parent's contexts
// stay the parent's. A process whose slot was reaped although it lived finds its contexts retired and re-attaches.
//
// A thread gives its context back when it exits, the process its slot when the Process is destroyed. While another
// thread still has a context then, the segment stays mapped (its note lies there) and the slot stays used until that
// thread exits.
//
// Dies at any line: the life byte falls free; a slot that is marked used while its life byte is free is dead, and
// whoever notices reaps it (`reap_dead_slots`).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "base/status.h"
#include "process/context.h"
#include "process/fifo.h"
#include "process/fork_guard.h"
#include "process/life_lock.h"
#include "segment/segment.h"

namespace shoal {

enum class SlotRange : int;  // process/slot.h

namespace detail {

// What this thread last looked up: good for the Process of this serial while the fork nonce and the context's id agree.
struct ThreadCache {
  uint64_t serial;
  uint64_t nonce;
  const std::atomic<uint64_t>* nonce_word;
  shm::Context* context;
  uint32_t id;
};
// No call into the loader where we are a shared library. Not under sanitizers: their check for null uses the flags of
// an `add` that ld relaxes to a `lea`, which sets none.
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)
[[gnu::tls_model("initial-exec")]]
#endif
extern constinit thread_local ThreadCache thread_cache;

}  // namespace detail

class Process {
 public:
  // Attaches this process: takes a life byte and a slot. Several Process objects on one segment are several slots.
  // Errors: kTooManyProcesses, kRemoved, kUnsupported (the kernel does not mark robust futexes), kSystem.
  static Result<std::unique_ptr<Process>> attach(std::shared_ptr<Segment> segment, shm::SlotRole role);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  Segment& segment() noexcept { return *segment_; }
  const std::shared_ptr<Segment>& shared_segment() const noexcept { return segment_; }

  // This process's slot; in a forked child its own, taken on first use. kNoSlot (and generation 0) if it cannot have
  // one.
  static constexpr uint32_t kNoSlot = 0xffff'ffff;
  uint32_t slot_index() noexcept;
  uint64_t slot_generation() noexcept;

  // This thread's context, taken on first use. kTooManyThreads, or the errors of a re-attach after fork.
  // A context that is found claimed by a dead slot is not reused before recovery has retired it.
  Result<shm::Context*> context() {
    if (shm::Context* known = known_context(); __builtin_expect(known != nullptr, 1)) return known;
    return take_context();
  }
  // This thread's context if it has one and it was the last asked for: null says only "ask context()".
  shm::Context* known_context() const noexcept {
    const detail::ThreadCache& cache = detail::thread_cache;
    if (cache.serial != serial_ || cache.nonce_word->load(std::memory_order_relaxed) != cache.nonce) return nullptr;
    return cache.context->id.load(std::memory_order_relaxed) == cache.id ? cache.context : nullptr;
  }
  // Gives this thread's context back (thread exit does it too). No transaction may be open.
  void release_context() noexcept;

  // Slots whose process, or whose reaper, is dead. A system call a slot.
  std::vector<uint32_t> dead_slots() noexcept;
  // Whether the slot's process lives; with a generation: whether it is still that process.
  bool slot_alive(uint32_t index) noexcept;
  bool slot_alive(uint32_t index, uint64_t generation) noexcept;

  // Reaping: begin takes the dead slot's life byte (so there is one reaper; if he dies, the slot is dead again) and
  // recovers all its contexts whatever their notes say. Between the two the caller gives back what the slot held.
  // finish frees the contexts and the slot; if not all was given back, or a context is still in somebody else's
  // recovery, the slot stays dead for the next round.
  // One slot at a time in a process: begin is false while another thread reaps, and if the slot is not dead.
  bool begin_reaping(uint32_t index) noexcept;
  void finish_reaping(uint32_t index, bool all_given_back = true) noexcept;
  // All dead slots, each by begin, the reap hook, finish. Returns how many.
  uint32_t reap_dead_slots() noexcept;

  // What upper layers do for this one. Set once, before the first attach; null = nothing to do.
  // R(D), by transaction/: `self` is the caller's published context; `slot_is_dead` overrides the note. It ends with
  // retire().
  using Recover = void (*)(Process& process, uint32_t self, uint32_t dead_id, bool slot_is_dead);
  static void set_recover(Recover recover) noexcept;
  // By transaction/: a thread gives its context back; its journal chunks and CLAIMED pages go. `first_chunk` must be 0
  // then.
  using Release = void (*)(Segment& segment, shm::Context& context);
  static void set_release(Release release) noexcept;
  // By commands/: gives back what a slot held (subscriptions, leases, waiters). Also called for the own slot when a
  // Process is destroyed: it must not take this thread's own context for a dead one. false: something is left (a lock's
  // holder is stopped); the slot stays dead for the next round.
  using Reap = bool (*)(Process& process, uint32_t slot_index);
  static void set_reap(Reap reap) noexcept;

  // What a thread does at the end of a sleep, at most every kSelfSweepMs in this process (commands/upkeep.h). Set
  // before others know the Process.
  void set_upkeep(std::function<void()> upkeep) { upkeep_ = std::move(upkeep); }
  void keep_up() noexcept;

  // The last step of R(D): retires the id and frees the context.
  void retire(shm::Context& context, uint32_t dead_id) noexcept;
  // The FIFOs that this process wakes (process/wake.cc).
  FifoCache& fifos() noexcept { return fifos_; }

 private:
  struct Membership;      // a slot and its life lock, of one OS process: a new one after fork
  struct ThreadContexts;  // what one thread has, of every Process
  explicit Process(std::shared_ptr<Segment> segment, shm::SlotRole role);
  Result<Membership*> membership();
  Result<Membership*> join(SlotRange range);
  Result<Membership*> hold_membership();
  Result<Membership*> join_by_reaping();
  Result<shm::Context*> take_context();
  Result<shm::Context*> claim_by_recovering(ThreadContexts& mine, Membership& member);
  void recover_contexts_of(uint32_t slot_index, uint32_t self) noexcept;
  void leave() noexcept;
  static void exit_thread(void* contexts) noexcept;

  std::shared_ptr<Segment> segment_;
  shm::SlotRole role_;
  uint64_t serial_;  // unique among the Process objects of this process and its ancestors
  FifoCache fifos_;
  std::function<void()> upkeep_;
  std::atomic<int64_t> next_upkeep_ns_{0};
  ForkLock join_lock_;
  std::atomic<Membership*> membership_{nullptr};  // newest first: older ones are a parent's, or were reaped
  std::atomic<uint32_t> hint_{0};                 // where to look for a free context
  ForkLock reaping_;                              // held from begin to finish
  LifeLock reaped_life_;
};

}  // namespace shoal
