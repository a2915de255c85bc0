// SPDX-License-Identifier: MIT
// record.h: what the workers tell the controller, in memory that is theirs alone (shared, anonymous, not the segment):
// what each was doing, and which of its writes were acknowledged.
//
// The rule of all of it: `tried` is stored before an operation, `done` after its answer. A worker that was killed in
// between leaves tried != done: the operation is a "maybe", and what the segment says about it from then on is final.
// An actor is one thread of execution: the main thread of a worker process, a second thread of it, a forked child of
// it.
// Its records outlive the process that wrote them; the next process in its seat goes on with them.
#pragma once

#include <atomic>
#include <cstdarg>
#include <cstdint>
#include <string>

#include "tools/torture/histogram.h"

namespace shoal::tool::chaos {

template <typename T>
using Atomic = std::atomic<T>;

inline constexpr uint32_t kWorkersMax = 32;
enum Role : uint32_t { kMain, kThread, kChild, kRoles };
inline constexpr uint32_t kActorsMax = kWorkersMax * kRoles;

// What happens meanwhile: nothing; SIGKILLs, forks and threads that end; those and everything else.
enum class Phase : uint32_t { kCalm, kKills, kStorm, kPhases };
inline constexpr auto kPhases = static_cast<uint32_t>(Phase::kPhases);
const char* phase_name(Phase phase) noexcept;

enum class Op : uint32_t {
  kNone,
  kSettle,
  kWrite,
  kRead,
  kReadForeign,
  kBundle,
  kCount,
  kPair,
  kTransfer,
  kList,
  kMoveToken,
  kExpire,
  kPublish,
  kHear,
  kPush,
  kTake,
  kAnswer,
  kLock,
  kFill,
  kSweep,
  kOps
};
const char* op_name(Op op) noexcept;

struct Pair {
  Atomic<uint64_t> done{0}, tried{0};

  bool open() const noexcept { return done.load() != tried.load(); }
  void settle(uint64_t value) noexcept {
    done.store(value);
    tried.store(value);
  }
};

// A register holds the number of its last write. Only its actor writes it; everybody reads it.
enum class Kind : uint32_t { kString, kField, kScore, kMember, kBundle };
inline constexpr uint32_t kOfEachKind = 4, kRegisters = 5 * kOfEachKind;
constexpr Kind kind_of(uint32_t reg) noexcept { return static_cast<Kind>(reg / kOfEachKind); }

inline constexpr uint32_t kCounters = 6, kAccounts = 6, kTokens = 24, kTokenLists = 4, kExpiring = 4, kChannels = 4;
inline constexpr uint32_t kTasks = 256;  // of one actor, at work or waiting
inline constexpr uint32_t kFillKeys = 128, kFillBytes = 200'000, kLeastFillBytes = 64;

enum class TaskState : uint32_t { kVoid, kPushing, kPushed, kAcking, kDone };
struct Task {
  Atomic<uint64_t> number{0}, runner{0};  // runner: life:32 | actor:32
  Atomic<TaskState> state{TaskState::kVoid};
  Atomic<uint32_t> runs{0};
};

struct Expiring {
  Atomic<uint64_t> number{0};                      // 0: not known what is there
  Atomic<int64_t> ends_from_ms{0}, ends_by_ms{0};  // wall clock: not before, not after
};

struct Slowest {
  Atomic<uint64_t> ns{0};
  Atomic<Op> op{Op::kNone};
  Atomic<uint64_t> off_cpu_ns{0};  // of it: not on a processor
  Atomic<uint64_t> queued_ns{0};   // of that: it could have run, and waited for a processor
};

struct Actor {
  // life:32 | pid:32. 0: nobody; pid 0: somebody is about to sit down. One life a process or thread, never twice.
  Atomic<uint64_t> seat{0};
  Atomic<uint64_t> doomed{0};  // the life that may be over from now on
  Atomic<uint32_t> parked{0};  // the pause that it keeps
  Atomic<int64_t> began_ns{0};
  Atomic<Op> op{Op::kNone};
  Atomic<uint64_t> operations{0}, refused{0}, maybes{0}, times_full{0};
  Atomic<uint32_t> filled{0};  // up to this one its large values may be there

  Pair registers[kRegisters], counters[kCounters], pair, pushed, popped, published[kChannels];
  Expiring expiring[kExpiring];
  Atomic<uint64_t> heard[kChannels];  // sequence up to which it has heard a channel
  Atomic<uint64_t> heard_of[kChannels][kActorsMax];
  Atomic<uint64_t> task_number{0};
  Task tasks[kTasks];

  Histogram times[kPhases], lock_waits[kPhases];
  Slowest slowest[kPhases];
};

enum class Fault : uint32_t { kLost, kStuck, kLeaked, kFaults };
inline constexpr auto kFaults = static_cast<uint32_t>(Fault::kFaults);
struct Violation {
  Atomic<uint32_t> written{0};
  Fault fault{};
  char text[300]{};
};
inline constexpr uint32_t kViolationsMax = 64;

struct Record {
  uint32_t workers = 0;
  uint64_t seed = 0, incarnation[kChannels]{};
  Atomic<uint32_t> pause{0};  // odd: everybody parks; a futex
  Atomic<uint32_t> stop{0}, fill{0};
  Atomic<Phase> phase{Phase::kCalm};
  Atomic<uint32_t> next_life{1};
  Atomic<uint64_t> forks{0}, threads{0}, exits{0}, convictions{0};
  Atomic<uint64_t> faults[kFaults]{};
  Atomic<uint32_t> next_violation{0};
  Violation violations[kViolationsMax];
  Actor actors[kActorsMax];

  static Record* create();  // mapped, zero; nullptr if there is no memory
  static void destroy(Record* record) noexcept;

  uint32_t actor_count() const noexcept { return workers * kRoles; }
  Actor& actor(uint32_t lane, Role role) noexcept { return actors[lane * kRoles + role]; }
  // Takes a vacant seat; 0: somebody sits there.
  uint64_t claim_seat(Actor& actor) noexcept {
    uint64_t nobody = 0;
    const uint64_t life = next_life.fetch_add(1);
    return actor.seat.compare_exchange_strong(nobody, life << 32) ? life : 0;
  }
  // Whether this life of the actor goes on, as far as anybody can know: a thread and a child die with the main thread.
  bool may_live(uint32_t actor, uint64_t life) const noexcept {
    const Actor& main = actors[actor / kRoles * kRoles + kMain];
    const bool goes_on = actors[actor].doomed.load() != life && main.doomed.load() != main.seat.load() >> 32;
    return goes_on && actors[actor].seat.load() >> 32 == life;
  }

  [[gnu::format(printf, 3, 4)]] void violation(Fault fault, const char* format, ...) noexcept;
  void violation_of(Fault fault, const char* format, va_list arguments) noexcept;
  uint64_t fault_count() const noexcept;
};

}  // namespace shoal::tool::chaos
