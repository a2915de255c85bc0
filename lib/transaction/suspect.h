// SPDX-License-Identifier: MIT
// suspect.h: an operation that kills whoever tries it is stopped.
//
// Whoever takes a shard's lock says first what for (Context::operation, key_hash). If it dies with the lock, recovery
// counts that in the shard. A suspect is a key, with whatever was done to it; or an operation that names no key (KEYS,
// FLUSHALL, the freeing of what was removed). It is a suspect no longer when somebody commits what the last one died
// in; that it was tried, refused or undone says nothing. With the third death it is convicted: everything on that key
// is refused, and whatever would change something in the shard; without a key nothing but that operation. Until `shoal
// repair`; reading goes on. Deaths more than kForgottenMs apart have nothing to do with each other: who is killed by
// chance is not convicted in the long run.
//
//   dies                              afterwards
//   the suspect's recoverer, while    it is counted once or not at all: the dead one's id is noted before the count,
//   it counts                         and who recovers next sees it
//   who came to the suspect's end,    the count stands, or is gone and this death counts; both are true
//   while it clears the count
//
// A command is laid at its first key, in a MULTI each at its own; what is refused is whatever has the key among its
// own.
// There is room for kSuspectCount; one more takes the place of the one whose last death is the longest ago, unless all
// are convicted. A check that is killed three times is impatience, and a lock without a purpose says nothing: neither
// is counted. Nor is a death without a lock: it left nothing that kills the next one.
#pragma once

#include <cstdint>

#include "base/status.h"
#include "segment/segment.h"

namespace shoal {

// What a lock is taken for. Whoever survives one kind clears that one only, so what may kill alone is a kind of its
// own. commands/check.cc has their names.
struct Purpose {
  enum Kind : uint32_t {
    kUnknown = 0,   // commands follow: their row, from 1
    kSet = 0x8000,  // as a command, or at once
    kPublish,
    kPostMessages,
    kGrowRing,
    kOutbox,
    kSubscribe,
    kUnsubscribe,
    kKeepHistory,
    kReleaseSubscriptions,
    kDeclareQueue,
    kLookAtQueues,
    kFindLeases,
    kPushTask,
    kRouteTask,
    kJoinQueue,
    kLeaveQueue,
    kReleaseConsumer,
    kListen,
    kUnlisten,
    kTakeTask,
    kAnswerTask,
    kStartTask,
    kFinishTask,
    kReleaseLeases,
    kReviveTasks,
    kPurgeQueue,
    kRemoveQueue,
    kBindQueue,
    kUnbindQueue,
    kExpire,
    kFreeLazily,
    kBringBlocksHome,
    kWake,
    kCheck,
  };
  static constexpr uint32_t kKindMask = 0xffff;
  // One for each `number` of whatever the kind is about.
  static constexpr uint32_t one_of(uint32_t kind, uint32_t number) noexcept { return kind | number << 16; }

  uint32_t kind = kUnknown;  // a Kind, or one_of() it
  bool reads = false;        // it changes nothing
  uint64_t key_hash = 0;     // of its first key, its channel or queue; 0 = none

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
inline bool convicted(const shm::Suspect& suspect) noexcept { return suspect.deaths >= kDeathsMax; }
// No write to the shard is admitted.
bool read_only(const shm::Shard& shard) noexcept;

inline constexpr const char* kRefused =
    "READONLY one operation killed three processes: it is refused, and so is all that works on its key or writes to "
    "the same part of the keys; `shoal check` says which, `shoal repair` helps";

// The rest under the shard's lock.

// Whether somebody died in this of late, and nobody has come to its end since.
bool remembers(const shm::Shard& shard, uint32_t operation, uint64_t key_hash) noexcept;
// Whether this is convicted.
bool refuses(const shm::Shard& shard, uint32_t operation, uint64_t key_hash) noexcept;
// Whether the operation that `self` has announced may go on. Forgets suspects whose last death is long ago.
Status admit(shm::Shard& shard, const shm::Context& self, bool reads, int64_t now_ms) noexcept;
// Somebody has come to the end of this.
void survived(shm::Shard& shard, uint32_t operation, uint64_t key_hash) noexcept;
// For who recovers `dead`, which held the lock.
void note_death(shm::Shard& shard, const shm::Context& dead, uint32_t dead_id, int64_t now_ms) noexcept;
// All of them: the shard takes writes again.
void forget(shm::Shard& shard) noexcept;

}  // namespace suspect

}  // namespace shoal
