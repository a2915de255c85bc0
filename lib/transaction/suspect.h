// SPDX-License-Identifier: MIT
// suspect.h: an operation that kills whoever tries it is stopped.
//
// Whoever takes a shard's lock says first what for (Context::operation, key_hash). If it dies with the lock, recovery
// notes that in the shard: the shard's suspect. The same suspect again, and nobody has come to its end in between: one
// death more. Another one: it is the suspect now. With the third death it is convicted: it is refused, and so is
// whatever would change something in the shard, until `shoal repair`; reading goes on. Deaths more than kForgottenMs
// apart have nothing to do with each other: who is killed by chance is not convicted in the long run.
//
//   dies                              afterwards
//   the suspect's recoverer, while    it is counted once or not at all: the dead one's id is noted before the count,
//   it counts                         and who recovers next sees it
//   who came to the suspect's end,    the count stands or is gone; both are true
//   while it clears the count
//
// What works on all keys at once (KEYS, FLUSHALL) names none: then nothing but that operation is refused. A check that
// is killed three times is impatience, and a lock without a purpose says nothing: neither is counted. Nor is a death
// without a lock: it left nothing that kills the next one.
#pragma once

#include <cstdint>

#include "base/status.h"
#include "segment/segment.h"

namespace shoal {

// What a lock is taken for. Commands are numbered by their row, from 1.
struct Purpose {
  enum Kind : uint32_t {
    kUnknown = 0,
    kSetAtOnce = 0x10000,
    kPublish,
    kSubscribe,
    kTasks,
    kExpire,
    kWake,
    kCheck,
  };

  uint32_t kind = kUnknown;
  bool reads = false;     // it changes nothing
  uint64_t key_hash = 0;  // of its first key, its channel or queue; 0 = none

  // Before the lock. The context is the caller's own.
  void announce(shm::Context& self) const noexcept {
    self.operation = kind;
    self.key_hash = key_hash;
  }
};

namespace suspect {

inline constexpr uint32_t kDeathsMax = 3;
inline constexpr int64_t kForgottenMs = 60'000;

inline uint32_t deaths(const shm::Shard& shard) noexcept { return shard.deaths.load(std::memory_order_relaxed); }
inline bool convicted(const shm::Shard& shard) noexcept { return deaths(shard) >= kDeathsMax; }
inline bool read_only(const shm::Shard& shard) noexcept { return convicted(shard) && shard.suspect_key_hash != 0; }

// The rest under the shard's lock.

// Whether the operation that `self` has announced may go on. Forgets a suspect whose last death is long ago.
Status admit(shm::Shard& shard, const shm::Context& self, bool reads, int64_t now_ms) noexcept;
// `self` has come to the end of what it announced.
void survived(shm::Shard& shard, const shm::Context& self) noexcept;
// For who recovers `dead`, which held the lock.
void note_death(shm::Shard& shard, const shm::Context& dead, uint32_t dead_id, int64_t now_ms) noexcept;
// The shard takes writes again.
void forget(shm::Shard& shard) noexcept;

}  // namespace suspect

}  // namespace shoal
