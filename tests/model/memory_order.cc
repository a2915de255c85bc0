// SPDX-License-Identifier: MIT
// The litmus shapes of MEMORY-ORDER.md under Relacy, which tries every interleaving and every value that C++11 lets a
// load return. Each shape is the protocol, access by access, with the orders of the code; each of its orders is
// weakened once, and then the violation must be found. An order that can be weakened without one would be one too many.
#include <relacy/relacy.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <ostream>

namespace {

using rl::mo_acquire;
using rl::mo_relaxed;
using rl::mo_release;
using rl::mo_seq_cst;
using Word = rl::atomic<unsigned>;

int weakened = 0;  // which order of the shape is relaxed; 0 = none

rl::memory_order order(int number, rl::memory_order wanted) { return number == weakened ? mo_relaxed : wanted; }

void fence(int number, rl::memory_order wanted) {
  if (number != weakened) rl::atomic_thread_fence(wanted, $);
}

// A shard's sequence: Transaction::become_visible(), release_locks(); Snapshot.
struct Sequence : rl::test_suite<Sequence, 2> {
  static constexpr int kOrders = 4;
  Word sequence, first, second;

  void before() {
    for (Word* word : {&sequence, &first, &second}) (*word)($).store(0, mo_relaxed);
  }
  void write(unsigned value) {
    const unsigned number = sequence($).load(mo_relaxed);
    sequence($).store(number | 1, mo_relaxed);
    fence(1, mo_release);
    first($).store(value, mo_relaxed);
    second($).store(value, mo_relaxed);
    sequence($).store(number + 2, order(2, mo_release));
  }
  void thread(unsigned index) {
    if (index == 0) {
      write(1);
      return write(2);
    }
    const unsigned before = sequence($).load(order(3, mo_acquire));
    if (before % 2 != 0) return;
    const unsigned a = first($).load(mo_relaxed), b = second($).load(mo_relaxed);
    fence(4, mo_acquire);
    if (sequence($).load(mo_relaxed) == before) RL_ASSERT(a == b && a == before / 2);
  }
};

// The owner word: what one holder wrote, the next one sees (lock_shard: acquire, unlock: release).
struct Owner : rl::test_suite<Owner, 2> {
  static constexpr int kOrders = 2;
  Word owner, data;

  void before() {
    owner($).store(0, mo_relaxed);
    data($).store(0, mo_relaxed);
  }
  void thread(unsigned index) {
    unsigned nobody = 0;
    if (!owner($).compare_exchange_strong(nobody, index + 1, order(1, mo_acquire), mo_relaxed)) return;
    data($).store(data($).load(mo_relaxed) + 1, mo_relaxed);
    done += 1;
    RL_ASSERT(data($).load(mo_relaxed) == done);
    owner($).exchange(0, order(2, mo_release));
  }
  unsigned done = 0;  // what only a holder touches: outside of the model's memory
};

// Sleeper and waker (process/wake.cc): begin_epoch() and the look after it; the publishing store, the fence and the
// look at the epoch. One of the two sees the other.
struct Sleep : rl::test_suite<Sleep, 2> {
  static constexpr int kOrders = 2;
  Word published, epoch;
  bool saw_message = false, saw_sleeper = false;

  void before() {
    published($).store(0, mo_relaxed);
    epoch($).store(0, mo_relaxed);
  }
  void thread(unsigned index) {
    if (index == 0) {
      epoch($).store(1, mo_relaxed);
      fence(1, mo_seq_cst);
      saw_message = published($).load(mo_relaxed) != 0;
    } else {
      published($).store(1, mo_release);
      fence(2, mo_seq_cst);
      saw_sleeper = epoch($).load(mo_relaxed) != 0;
    }
  }
  void after() { RL_ASSERT(saw_message || saw_sleeper); }
};

// A waker, and the recovery of whom it wakes (wake_to_pass_on(), end_epoch(); recover(): end_sleeps(), relay::owed()).
// Whoever ends the epoch is the only one: if that is the waker, recovery sees what it left to be passed on.
struct Relay : rl::test_suite<Relay, 2> {
  static constexpr int kOrders = 3;
  Word relay, epoch;
  bool trusted = false, saw_mark = false;

  void before() {
    relay($).store(0, mo_relaxed);
    epoch($).store(1, mo_relaxed);
  }
  void thread(unsigned index) {
    unsigned asleep = 1;  // Relacy knows one order of a CAS, for both of its ends
    if (index == 0) {
      relay($).store(1, mo_relaxed);
      trusted = epoch($).compare_exchange_strong(asleep, 2, order(1, mo_release), mo_relaxed);
    } else {
      asleep = epoch($).load(order(2, mo_acquire));
      if (asleep % 2 != 0) epoch($).compare_exchange_strong(asleep, 2, order(3, mo_acquire), order(3, mo_acquire));
      saw_mark = relay($).load(mo_relaxed) != 0;
    }
  }
  void after() { RL_ASSERT(!trusted || saw_mark); }
};

// A ring of one message's room: RingWriter::publish() of a second message over the first, RingReader::peek() and
// copy().
struct Ring : rl::test_suite<Ring, 2> {
  static constexpr int kOrders = 4;
  Word next, oldest, head, tail;

  void before() {
    next($).store(1, mo_relaxed);
    for (Word* word : {&oldest, &head, &tail}) (*word)($).store(0, mo_relaxed);
  }
  void publish(unsigned sequence) {
    oldest($).store(sequence - 1, mo_relaxed);
    fence(1, mo_release);
    head($).store(sequence, mo_relaxed);
    tail($).store(sequence, mo_relaxed);
    next($).store(sequence + 1, order(2, mo_release));
  }
  void thread(unsigned index) {
    if (index == 0) {
      publish(1);
      return publish(2);
    }
    const unsigned newest = next($).load(order(3, mo_acquire)) - 1;
    if (newest == 0) return;
    const unsigned a = head($).load(mo_relaxed), b = tail($).load(mo_relaxed);
    fence(4, mo_acquire);
    if (oldest($).load(mo_relaxed) <= newest - 1) RL_ASSERT(a == newest && b == newest);
  }
};

enum Outcome { kHolds = 0, kViolated = 1, kUnfinished = 2 };

template <typename Shape>
Outcome search() {
  std::ostream said(nullptr);  // the history of a violation is for whoever takes &std::cout instead
  rl::test_params parameters;
  parameters.search_type = rl::fair_full_search_scheduler_type;
  parameters.iteration_count = 20'000'000;
  parameters.output_stream = parameters.progress_stream = &said;
  if (!rl::simulate<Shape>(parameters)) return kViolated;
  return parameters.stop_iteration < parameters.iteration_count ? kHolds : kUnfinished;
}

// In a process of its own: Relacy leaves what it simulated when it found a violation.
template <typename Shape>
int outcome(int weakened_order) {
  std::fflush(stdout);
  const pid_t child = ::fork();
  if (child == 0) {
    weakened = weakened_order;
    ::_exit(search<Shape>());
  }
  int status = -1;
  if (::waitpid(child, &status, 0) != child || !WIFEXITED(status)) return -1;
  return WEXITSTATUS(status);
}

// How many of its searches ended otherwise than they should.
template <typename Shape>
int check(const char* what) {
  int wrong = 0;
  for (int number = 0; number <= Shape::kOrders; ++number) {
    const int wanted = number == 0 ? kHolds : kViolated, got = outcome<Shape>(number);
    std::printf("%s  %s, order %d relaxed: %d\n", got == wanted ? "ok    " : "FAILED", what, number, got);
    wrong += got != wanted;
  }
  return wrong;
}

}  // namespace

int main() {
  int wrong = 0;
  wrong += check<Sequence>("a reader that finds the sequence unchanged read what one writer wrote");
  wrong += check<Owner>("a holder sees what the holder before him wrote");
  wrong += check<Sleep>("either the sleeper sees the message or the waker sees the sleeper");
  wrong += check<Relay>("recovery sees what the dead was trusted to pass on, or nobody trusted it");
  wrong += check<Ring>("a message whose room is still its own is whole");
  return wrong == 0 ? 0 : 1;
}
