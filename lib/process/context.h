// SPDX-License-Identifier: MIT
// context.h: a thread's place in a segment: its id, its death note, its sleep words, its journal.
//
//   field          free   claimed   published   leaving, recovered
//   claim          0      slot      slot        slot, then 0 last
//   alive (note)   -      locked    locked      unlocked by its thread, or marked by the kernel and left as it is
//   id             0      0         id          0
//
// A context belongs to one thread; only dead() and holder_pid() may be asked about others. Nobody but its claimer
// touches a note, not even by trylock. Dies
//   before `id` is published   `claim` names the slot: whoever reaps the slot sets it free
//   after                      the kernel marks the note, dead() is true at once, recovery repairs and retires
//   between id = 0 and claim = 0, leaving or retiring: as before `id` is published
#pragma once

#include <cstdint>

#include "base/status.h"
#include "segment/segment.h"

namespace shoal {

// The word that the kernel marks when the thread that locked the note is gone.
inline constexpr uint32_t kFutexOwnerDied = 0x4000'0000u;
inline constexpr uint32_t kLockWordOffsetMax = 4;  // glibc 0, musl 4

// True if the context that `id` named has been retired or its thread is gone. A memory read, no system call.
inline bool dead(const Segment& segment, uint32_t id) noexcept {
  const shm::Context& context = segment.context(shm::context_index(id));
  if (context.id.load(std::memory_order_acquire) != id) return true;
  // Within the note whatever the segment says: who looks at a damaged one must not fault.
  const auto* note = reinterpret_cast<const std::byte*>(&context.alive) +
                     (context.alive_offset.load(std::memory_order_relaxed) & kLockWordOffsetMax);
  const uint32_t word = __atomic_load_n(reinterpret_cast<const uint32_t*>(note), __ATOMIC_ACQUIRE);
  return (word & kFutexOwnerDied) != 0;
}

// The pid of the process behind a context, for messages: 0 if unknown. As its own PID namespace sees it.
uint32_t holder_pid(const Segment& segment, uint32_t id) noexcept;

// ---- For process/ and transaction/recovery only ---------------------------------------------------------------------

// Context::claim of a slot's life: generation << 16 | index + 1.
constexpr uint64_t claim_word(uint32_t slot_index, uint64_t slot_generation) noexcept {
  return slot_generation << 16 | (slot_index + 1);
}
constexpr uint32_t slot_of_claim(uint64_t claim) noexcept { return static_cast<uint32_t>(claim & 0xffff) - 1; }

// Whether the kernel marks the note of a dead thread here, and where the lock word of a note lies. Runs a thread once.
Status check_death_notes() noexcept;

enum class ContextRange { kRegular, kReserved };

// Claims a free context for the calling thread and publishes its id; the search begins at `hint`. kTooManyThreads if
// all of the range are taken. From the claim to the id: no allocation.
Result<shm::Context*> claim_context(Segment& segment, uint64_t claim, ContextRange range, uint32_t hint) noexcept;
// The calling thread's own context becomes free. Its journal must be empty, its chunks given back.
void leave_context(Segment& segment, shm::Context& context) noexcept;
// The last step of R(D): the id is retired and the context free. `recoverer_claim` is the slot of who recovers: from
// the first line here the context is his, so that the reaping of his slot finishes what he may not.
void retire_context(Segment& segment, shm::Context& context, uint32_t dead_id, uint64_t recoverer_claim) noexcept;
// The id of a context that was claimed in this slot; 0: none. What is claimed in the slot afterwards is not meant.
uint32_t id_in_slot(const shm::Context& context, uint32_t slot) noexcept;
// Frees a context whose claimer's slot is dead and which has no id (claimed, not published; or retired, not freed), if
// the claim is still that one. It is the reaper's in between, as in retire_context().
void free_claim(Segment& segment, shm::Context& context, uint64_t claim, uint64_t reaper_claim) noexcept;

// Raises a high-water mark to at least `value`.
template <typename Number>
void raise_high(shm::Atomic<Number>& high, Number value) noexcept {
  Number seen = high.load(std::memory_order_relaxed);
  while (seen < value && !high.compare_exchange_weak(seen, value, std::memory_order_acq_rel)) {
  }
}

}  // namespace shoal
