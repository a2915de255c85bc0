// SPDX-License-Identifier: MIT
// recovery.h: R(D), what anybody does for a context D whose thread is gone.
//
//   D died                                what others see        what R(D) does
//   before its first lock                 nothing                releases its pages, retires the id
//   holding locks, journal empty          locks without work     sequences go on to even, locks fall free
//   between an edit and the commit        an odd sequence        applies the journal backwards, then the same
//   after the commit, still holding       the new state          the same; the journal is empty
//   after unlocking, before its wakes     the new state          publishes its outbox, rings every sleeper
//   while recovering another              a dead recoverer       the next one claims D anew: every step is idempotent
//
// Only a context with a published id recovers. No lock falls free before the undo is complete; no sequence ever returns
// to an earlier value; the id is retired last, so D's context is not reused before.
#pragma once

#include <cstdint>

#include "process/process.h"

namespace shoal {

// Recovers the dead context `dead_id` on behalf of the context `self`. False, at once, if somebody alive is at it.
// `slot_is_dead`: its process is known to be gone although its note may not say so (it unmapped before it died).
bool recover(Process& process, uint32_t self, uint32_t dead_id, bool slot_is_dead = false) noexcept;

// Looks at every context and recovers those whose thread is gone. Returns how many.
uint32_t recover_all(Process& process, uint32_t self) noexcept;

// What R(D) calls to publish the messages that D had committed but not yet published; set by channels/. It needs locks:
// false if `self` holds some itself or did not get one, and then D stays dead for a later sweep to finish.
using PublishOutbox = bool (*)(Process& process, uint32_t self, shm::Context& dead);
void set_publish_outbox(PublishOutbox publish) noexcept;

}  // namespace shoal
