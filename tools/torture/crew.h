// SPDX-License-Identifier: MIT
// crew.h: the worker processes as their controller sees them: started, killed, stopped, waited for. For one thread.
//
// The controller is the subreaper of all: children of killed workers come to it. Whoever is to be killed is doomed in
// the record first, so that nobody takes the task that he held for one that runs twice.
#pragma once

#include <sys/types.h>

#include <random>
#include <vector>

#include "segment/name.h"
#include "tools/torture/record.h"

namespace shoal::tool::chaos {

class Crew {
 public:
  Crew(Record& record, const SegmentName& name);
  ~Crew();  // kills everybody
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  void start_missing();
  // Waits for whoever ended, and sets their seats free. A death that nobody ordered is a violation.
  void collect();
  void kill_one(std::mt19937_64& random);
  void stop_one(std::mt19937_64& random);
  void continue_due();
  void continue_all();
  bool anybody_left() const noexcept;

  // The daemon is one of them, in a program of its own.
  void start_daemon(const std::string& program);
  void kill_daemon();
  void end_daemon();
  bool has_daemon() const noexcept { return daemon_ > 0; }

  uint64_t kills = 0, stops = 0, daemon_kills = 0;

 private:
  struct Lane {
    pid_t pid = 0;
    uint64_t life = 0;
    int64_t continue_at_ns = 0;  // 0: it is not stopped
    int64_t start_at_ns = 0;
  };
  void start(uint32_t lane);
  void ended(uint32_t lane, int status);
  void vacate(uint32_t lane);
  bool kill_seat(Actor& actor);
  void kill_lane(uint32_t lane);

  Record& record_;
  SegmentName name_;
  std::vector<Lane> lanes_;
  pid_t daemon_ = 0;
  bool daemon_doomed_ = false;
};

}  // namespace shoal::tool::chaos
