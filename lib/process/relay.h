// SPDX-License-Identifier: MIT
// relay.h: one message wakes many sleepers, and its publisher pays for the first few: those pass the wake on.
//
//   Context::relay   kLeft      somebody saw it asleep with something to read, and left it to others to wake
//                    kPassOn    it was woken, and has to wake others; kPassing: it is at it
//
//   publisher   the first kFanOut sleepers are its own, the others get kLeft; then its own get kPassOn and are woken
//   woken       when its sleep is over (ThreadSleep, LoopWaker::disarm): kPassOn becomes kPassing; it looks over all
//               contexts, takes up to kFanOut of the kLeft, each of which only one can take, and wakes those in the
//               same way; kPassing falls
//
// A sleeper counts as woken if its epoch was moved on: then it will see the kPassOn that was set before. Each kLeft
// leads to at most one wake, and no woken one leaves any while it can take it: as long as one of those who were woken
// runs, all are.
//
// Dies before its marks are undone: kPassOn or kPassing stand in its context, and recovery rings everybody; a publisher
// has hints_owed. Recovery ends the dead one's sleep before it looks, so that nobody ends it afterwards and counts on
// it. One that is stopped, not dead, keeps what it has just taken; and a thread may end before it passes on: a sweep
// takes the marks that it finds (relay_all), so nobody sleeps longer than until the next one.
#pragma once

#include <cstdint>

#include "process/process.h"

namespace shoal {

namespace relay {
inline constexpr uint32_t kFanOut = 4;
inline constexpr uint32_t kLeft = 1, kPassOn = 2, kPassing = 4;

inline bool owed(const shm::Context& context) noexcept {
  return (context.relay.load(std::memory_order_acquire) & (kPassOn | kPassing)) != 0;
}
// What a woken one does; `self` is the caller's own context.
void pass_on(Process& process, shm::Context& self) noexcept;
}  // namespace relay

// Whom a message wakes: add() them before it is unlocked, wake() afterwards; true if one of them slept.
class Sleepers {
 public:
  explicit Sleepers(Segment& segment) noexcept : segment_(segment) {}
  void add(uint32_t context_id) noexcept;
  bool wake(Process& process) const noexcept;

 private:
  Segment& segment_;
  uint32_t own_[relay::kFanOut];
  uint32_t count_ = 0;
  bool left_some_ = false;
};

// Wakes whoever is left: for a sweep. `self` is the caller's own context.
void relay_all(Process& process, shm::Context& self) noexcept;

}  // namespace shoal
