// SPDX-License-Identifier: MIT
// performer.h: one actor at work: a random mix of operations on the segment, each told to the record before and after,
// each answer held against what it may be.
//
// Killed at any line: the record says which operation was in flight; whoever sits down next begins with settle().
#pragma once

#include <memory>
#include <random>

#include "channels/subscriber.h"
#include "process/daemon_link.h"
#include "queues/consumer.h"
#include "tools/torture/registers.h"
#include "tools/torture/run_delay.h"

namespace shoal::tool::chaos {

class Performer {
 public:
  Performer(Record& record, uint32_t actor, uint64_t life, std::shared_ptr<Process> process);

  // Looks at what the last one in this seat left in flight. False: not now (the segment is full).
  bool settle();
  void step();
  // Reads all channels to their ends.
  void hear_all();
  // Gives back its leases and answers nothing more: what an orderly end does.
  void leave();

 private:
  class Timed;
  struct Held {
    queues::LeaseTag tag;
    Task* task;
  };

  uint64_t me() const noexcept { return life_ << 32 | number_; }
  // A message says whose it is: what a dead one had committed and not yet published comes when he is recovered, perhaps
  // behind messages of the next life in his seat.
  uint64_t in_this_life(uint64_t number) const noexcept { return life_ << 32 | number; }
  uint64_t below(uint64_t end) { return random_() % end; }
  uint32_t under(uint32_t end) { return static_cast<uint32_t>(random_() % end); }
  bool settle_register(uint32_t reg);
  bool settle_line();

  void write();
  void read_own();
  void read_foreign();
  void count();
  void count_pair();
  void transfer();
  void use_line();
  void move_token();
  void expire();
  void look_at_expiring(uint32_t which);
  void publish();
  void hear();
  void push_task();
  void take_task();
  void answer_task();
  void lock_a_shard();
  void fill();
  void fill_up();
  void sweep_if_alone();

  bool subscribe();
  void heard(const channels::Delivery& delivery);
  // done or refused of a pair; an unexpected answer is a violation.
  bool settle_answer(Pair& pair, const Answer& answer, const char* what);
  [[gnu::format(printf, 2, 3)]] void lost(const char* format, ...) noexcept;
  void unexpected(const char* what, const std::string& text);
  void unexpected(const char* what, const Status& status);

  Record& record_;
  const uint32_t number_;
  Actor& actor_;
  const uint64_t life_;
  std::mt19937_64 random_;
  std::shared_ptr<Process> process_;
  Talk talk_;
  std::unique_ptr<channels::Subscriber> subscriber_;
  bool resumed_[kChannels]{};
  queues::TaskQueues queues_;
  std::unique_ptr<queues::Consumer> consumer_;
  bool consuming_ = false;
  std::vector<Held> held_;
  std::optional<DaemonLink> daemon_;
  int64_t next_sweep_ns_ = 0;
  std::optional<RunDelay> run_delay_;
};

}  // namespace shoal::tool::chaos
