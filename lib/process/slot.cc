// SPDX-License-Identifier: MIT
#include "process/slot.h"

#include <unistd.h>

#include "base/clock.h"
#include "process/context.h"

namespace shoal {

namespace {

// A segment in private memory has no life file: its slots live until they are given back.
Result<LifeLock> take_life(const Segment& segment, uint32_t index) {
  if (segment.in_memory()) return LifeLock();
  return LifeLock::take(segment.name().life_path(), index, segment.life_file());
}

uint64_t move_in(Segment& segment, uint32_t index, shm::SlotRole role) noexcept {
  raise_high(segment.control_header().slot_high, index + 1);
  shm::Slot& slot = segment.control_slot(index);
  const uint64_t generation = slot.generation.load(std::memory_order_relaxed) + 1;
  slot.generation.store(generation, std::memory_order_release);
  slot.pid = static_cast<uint32_t>(::getpid());
  slot.pid_namespace = own_pid_namespace();
  slot.start_time_ms = static_cast<uint64_t>(wall_clock_ms());
  slot.role.store(static_cast<uint32_t>(role), std::memory_order_relaxed);
  set_slot_state(segment, index, shm::SlotState::kUsed);
  return generation;
}

}  // namespace

Result<SlotClaim> take_slot(Segment& segment, shm::SlotRole role, SlotRange range) {
  const uint32_t count = segment.slot_count();
  const uint32_t regular = count > 1 ? count - 1 : count;
  const uint32_t first = range == SlotRange::kRegular ? 0 : regular;
  const uint32_t end = range == SlotRange::kRegular ? regular : count;
  for (uint32_t index = first; index < end; ++index) {
    if (slot_state(segment, index) != shm::SlotState::kFree) continue;
    Result<LifeLock> life = take_life(segment, index);
    if (!life.ok() && life.status().code() == Code::kBusy) continue;
    if (!life.ok()) return life.status();
    if (slot_state(segment, index) != shm::SlotState::kFree) continue;  // somebody came, and died or left, in between
    // With the byte held no second segment of this name can be created; before, one may have been.
    if (segment.removed()) return Status{Code::kRemoved, "the segment was removed; nobody new can join it"};
    SlotClaim claim;
    claim.index = index;
    claim.life = std::move(life).value();
    claim.generation = move_in(segment, index, role);
    return claim;
  }
  return Status{Code::kTooManyProcesses, "too many processes use the segment; create it with more slots than", count};
}

Result<LifeLock> take_dead_slot(Segment& segment, uint32_t index) {
  if (segment.in_memory()) return Status{Code::kBusy, "a segment in memory has no dead slots"};
  Result<LifeLock> life = take_life(segment, index);
  if (!life.ok()) return life;
  if (slot_state(segment, index) == shm::SlotState::kFree) return Status{Code::kBusy, "the slot is free"};
  set_slot_state(segment, index, shm::SlotState::kReaping);
  return life;
}

}  // namespace shoal
