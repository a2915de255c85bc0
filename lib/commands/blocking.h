// SPDX-License-Identifier: MIT
// blocking.h: commands that wait (BLPOP, BLMOVE, BZPOPMIN ...): what a session remembers of the one that waits, and
// what its
// caller does meanwhile.
//
// execute() runs the command. Finding nothing, it registers as a waiter on its keys (keyspace/waiters.h) under the
// calling
// thread's context and answers kPending. From then on, in the same thread:
//
//   a thread:       wait(session, interrupted)          sleeps until the reply is there
//   an event loop:  LoopWaker::arm(); resume(session);  while that is kPending: poll the fd, at most timeout_ns();
//   again
//   either:         cancel(session)                     forgets the command; a turn goes to the next waiter. Never
//                                                       waits: behind a lock that is held, the slow lane does it
//
// resume() runs the command again if its turn came or its time is up: the waiter pops under the lock itself, so
// nothing is
// lost with a process that dies on the way. Inside MULTI a blocking command answers as after its time-out.
// Dies at any line: the waiters are released with the process's slot (waiters::release_slot) and pass their turns on.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "commands/command.h"
#include "keyspace/waiters.h"

namespace shoal {

enum class Outcome;
class Session;

// The part of a session that is about its blocked command.
struct BlockedCall {
  struct Place {
    uint64_t waiter;  // where it lies
    uint32_t shard;
    uint32_t argument;  // the key
  };
  std::vector<std::string> arguments;
  std::vector<Place> places;
  waiters::Who who{};
  int64_t deadline_ns = 0;  // monotonic, 0 = never
  bool registered = false;  // the places are committed
  bool timed_out = false;   // the next run answers as after the time-out
};

namespace blocking {

// ---- For the session's caller ----

inline constexpr int64_t kNoTimeout = -1;

// Whether a command of this session waits.
bool pending(const Session& session) noexcept;
// Nanoseconds until the waiting command's time is up, kNoTimeout if it waits for ever.
int64_t timeout_ns(const Session& session) noexcept;
// kReplied, kPending (not yet), kBusy (a lock was not had: again, soon), kFailed.
Outcome resume(Session& session, int64_t budget_ns);
// Sleeps until the command is answered. After each sleep (at most a fraction of a second) `interrupted` is asked: if
// it says true,
// kPending is returned and the command still waits. Its turn or its time-out also end a sleep.
Outcome wait(Session& session, const std::function<bool()>& interrupted = nullptr);
void cancel(Session& session);

// ---- For CallRunner, around a blocking command ----

void before(Session& session, std::span<const Bytes> arguments);                  // no lock held
void after(Session& session, Outcome outcome, std::span<const Bytes> arguments);  // committed, no lock held

// ---- For handlers ----

// The time-out argument, in ms; false: answered.
bool timeout_arg(Call& call, size_t index, int64_t& timeout_ms) noexcept;
// Of `count` elements at the key, those that this call may take: the others were promised to waiters that came earlier.
uint64_t takeable(Call& call, const Key& key, Type kind, uint64_t count) noexcept;
// The call takes its elements (from keys first..last): its waiters go, in the same transaction.
void leave(Call& call) noexcept;
// The call found nothing at the keys that are arguments first..last. True: it waits. False: answer as after a time-out.
bool wait_for(Call& call, size_t first, size_t last, Type kind, int64_t timeout_ms) noexcept;

}  // namespace blocking
}  // namespace shoal
