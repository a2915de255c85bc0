// SPDX-License-Identifier: MIT
// context.h: this thread's place in a segment: its id, its death note, its sleep word, its journal.
//
// A Context (process handle) belongs to one thread; only `dead()` and `describe_holder()` may be asked about others.
// Taking one: CAS `claim` 0 -> slot; initialise and lock the death note; raise the generation; publish `id`. Leaving: the
// transaction layer has nothing open; id = 0; unlock the note; claim = 0.
// Dies before `id` is published: `claim` names the slot, and whoever reaps the slot sets it free. Dies after: the kernel
// marks the note, `dead()` is true at once and transaction/recovery repairs.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"
#include "segment/segment.h"

namespace shoal {

// The word that the kernel marks when the thread that locked the note is gone.
inline constexpr uint32_t kFutexOwnerDied = 0x4000'0000u;

// True if the context that `id` named has been retired or its thread is gone. A memory read, no system call.
inline bool dead(const Segment& segment, uint32_t id) noexcept {
  const shm::Context& context = segment.context(shm::context_index(id));
  if (context.id.load(std::memory_order_acquire) != id) return true;
  const auto* note = reinterpret_cast<const std::byte*>(&context.alive) + context.alive_offset.load(std::memory_order_relaxed);
  const uint32_t word = __atomic_load_n(reinterpret_cast<const uint32_t*>(note), __ATOMIC_ACQUIRE);
  return (word & kFutexOwnerDied) != 0;
}

// The pid of the process behind a context, for messages: 0 if unknown.
uint32_t holder_pid(const Segment& segment, uint32_t id) noexcept;

}  // namespace shoal
