// SPDX-License-Identifier: MIT
// cases.h: the operations that are swept, a line each.
//
//   {"what it is", "setup; setup; ...", "operation"}
//
// Setup and operation are commands as one writes them in redis-cli, parted by ';'. Each command of the operation is one
// transaction, if it is not said to be in parts. Beside commands:
//   ~600       600 bytes; ~600y other ones
//   @60 SET k# v#    sixty times with # = 0 ... 59
//   !clock 5000      the wall clock of this process is 5 seconds ahead: what had 1 ms to live is gone
//   !fill 2          two pages stay free, and the segment cannot grow
//   !brink           keys until the next new one, of either shard, makes its table grow
//   !collide a b     for each key seven others of its tag, which fill its bucket
//   !sleep BLPOP a 0 another process waits so and falls asleep; it outlives everybody, and must be woken
//   !reap            what its slot's reaper does of it
//   !resume          the client's blocking command runs again: its turn has come, or its time is up
//   !cancel          it is given up
//   !other RPUSH a 1 another client of this process runs a command
//   !set a 1         SET as the typed client's
//   !q ...           an operation on task queues (queue_words.h)
//   !c ...           on channels (channel_words.h)
//   !suspect a       somebody has died with the lock of a's shard: nobody takes it in passing; until !pardon a
//   !leave, !attach, !expire ...   of threads, processes and the daemon (life_words.h)
//
// Every command of the table that locks must have a case here: EveryCommandThatLocksHasACase names those that lack one.
// With two shards keys a, b, c, d, e ... lie in both of them.
#pragma once

#include <cctype>
#include <ostream>
#include <string>
#include <vector>

namespace shoal::crash {

enum Trait : unsigned {
  kInParts = 1,        // several transactions: what is seen in between is sound, and neither as before nor as after
  kNoTrace = 2,        // a newcomer sees nothing of it: what it is swept for is check
  kNothingToReap = 4,  // the dead had nothing that a sweep gives back
};

struct Case {
  const char* name;
  const char* setup;
  const char* operation;
  unsigned traits = 0;
  bool is(Trait trait) const noexcept { return (traits & trait) != 0; }
};
// How GoogleTest names one that failed.
inline void PrintTo(const Case& of, std::ostream* out) { *out << of.name; }

const std::vector<Case>& cases();
// Those that only read.
const std::vector<Case>& read_cases();
// Where processes must be real ones, or a shadow pass would take minutes.
const std::vector<Case>& process_cases();
// Two runs may end differently: chance chooses what it takes.
bool ends_at_random(const Case& of);
std::vector<std::string> lines_of(const std::string& text);
// "@60 SET k# v#" as sixty lines; any other line as it is.
std::vector<std::string> repeated(const std::string& line);

// For INSTANTIATE_TEST_SUITE_P.
template <typename Info>
std::string name_of_case(const Info& info) {
  std::string name;
  for (char c : std::string(info.param.name)) name += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return name;
}

}  // namespace shoal::crash
