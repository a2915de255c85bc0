// SPDX-License-Identifier: MIT
// process.h: this process's membership of one segment: its slot, its life lock, and a context for each thread that calls.
//
// Thread-safe. `context()` is the hot path: a thread-local look-up, no system call. After fork the child finds itself
// unattached (the nonce page reads zero) and attaches anew with a slot and life byte of its own; the parent's contexts stay
// the parent's. A process whose slot was reaped although it lived sees its slot's generation changed and re-attaches.
//
// Dies at any line: the life byte falls free; a slot that is marked used while its life byte is free is dead, and whoever
// notices calls the reaper (see `dead_slots`).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/status.h"
#include "process/context.h"
#include "segment/segment.h"

namespace shoal {

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
  uint32_t slot_index() const noexcept;
  uint64_t slot_generation() const noexcept;

  // This thread's context, taken on first use. kTooManyThreads, or the errors of a re-attach after fork.
  // A context that is found claimed by a dead slot is not reused before recovery has retired it.
  Result<shm::Context*> context();
  // Gives this thread's context back (thread exit does it too). No transaction may be open.
  void release_context() noexcept;

  // Slots that are marked used and whose life byte is free: dead processes. Checks by F_OFD_GETLK; a system call a slot.
  std::vector<uint32_t> dead_slots() noexcept;
  // Whether the slot's process lives.
  bool slot_alive(uint32_t index) noexcept;
  // After everything that the slot held has been given back (commands/reap): state free, claims of its contexts free.
  // The caller holds SlotState::kReaping by CAS from kUsed.
  bool begin_reaping(uint32_t index) noexcept;
  void finish_reaping(uint32_t index) noexcept;

  // Recovery is the transaction layer's business; it tells us how, so that a claimer can have a dead context recovered.
  using Recover = std::function<void(Process&, uint32_t dead_context_id)>;
  static void set_recover(Recover recover);

 private:
  Process() = default;
  struct Membership;                     // slot, life lock, nonce: replaced as a whole after fork
  std::shared_ptr<Segment> segment_;
  std::unique_ptr<Membership> membership_;
  shm::SlotRole role_ = shm::SlotRole::kClient;
};

}  // namespace shoal
