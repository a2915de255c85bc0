// SPDX-License-Identifier: MIT
// life_words.h: what threads, processes and the daemon do, as lines of a case.
//
//   !leave  !arrive  the thread gives its context back, takes one
//   !renew           both: without a journal chunk
//   !wrap            the generation of every free context is at its end
//   !attach !detach  another process comes, with a context, and goes
//   !expire !free !grow   the daemon's work, all that there is
//
// Where processes are real (real_pass.h) also:
//   !dead LINE & LINE ...   a child runs the lines and is killed
//   !fork            whatever follows is done by a child; its parent waits for its end and dies, too
//   !sweep           recovers and reaps whoever is dead
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "process/process.h"

namespace shoal::crash {

inline constexpr unsigned kWatchdogSeconds = 60;  // of a process that is to die
[[noreturn]] void die();                          // by SIGKILL, at once

class LifeWords {
 public:
  using Run = std::function<void(const std::string& line)>;
  // `run` runs any line of a case.
  LifeWords(std::shared_ptr<Process> process, Run run) : process_(std::move(process)), run_(std::move(run)) {}
  // False: it is none of these.
  bool run(const std::string& line);

 private:
  void wrap();
  void expire();
  void free();
  void suspect(const std::string& key, bool is);
  void die_in_a_child(const std::string& lines);
  void go_on_in_a_child();

  std::shared_ptr<Process> process_;
  Run run_;
  std::vector<std::shared_ptr<Process>> others_;
};

}  // namespace shoal::crash
