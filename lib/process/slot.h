// SPDX-License-Identifier: MIT
// slot.h: taking and giving back a slot, the place of a process. For process/process.cc only.
//
//   state      life byte   meaning
//   free       free        nobody
//   free       held        somebody is moving in
//   used       held        a process
//   used       free        a dead process: to be reaped
//   reaping    held        somebody gives back what it held, under its life byte
//   reaping    free        the reaper died as well: to be reaped
//
// Everything but the reading of `state` and `generation` happens under the slot's life byte, so there is one writer.
// Dies at any line: one of the rows above.
#pragma once

#include <cstdint>

#include "base/status.h"
#include "process/life_lock.h"
#include "segment/segment.h"

namespace shoal {

struct SlotClaim {
  uint32_t index = 0;
  uint64_t generation = 0;
  LifeLock life;
};

// The last slot is kept for a newcomer who finds all others taken and must reap before he can move in.
enum class SlotRange : int { kRegular, kReserved };

// Moves in. kTooManyProcesses if all slots of the range are taken or dead; kRemoved if the segment's file has been
// removed.
Result<SlotClaim> take_slot(Segment& segment, shm::SlotRole role, SlotRange range);

// Takes a dead slot over for reaping: its life byte and SlotState::kReaping. kBusy if it is not dead.
Result<LifeLock> take_dead_slot(Segment& segment, uint32_t index);

inline shm::SlotState slot_state(const Segment& segment, uint32_t index) noexcept {
  return static_cast<shm::SlotState>(segment.slot(index).state.load(std::memory_order_acquire));
}
// By the holder of the life byte.
inline void set_slot_state(Segment& segment, uint32_t index, shm::SlotState state) noexcept {
  segment.control_slot(index).state.store(static_cast<uint32_t>(state), std::memory_order_release);
}

}  // namespace shoal
