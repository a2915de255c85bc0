// SPDX-License-Identifier: MIT
// model.h: whether the segment holds what was acknowledged. Asked while everybody is parked or dead and recovered, so
// that every number stands still.
#pragma once

#include "channels/subscriber.h"
#include "tools/torture/registers.h"

namespace shoal::tool::chaos {

class Model {
 public:
  Model(Record& record, std::shared_ptr<Process> process);

  // Makes what the run needs. An error: there is no room for it.
  Status lay_out();
  // Everything that can be told at any quiet point.
  void check();
  // After the last worker is gone.
  void remove_ballast();
  // Then: empties the queue, and nothing may be left in it or on a list of the dead.
  void check_end();
  // Removes all there is; then nothing may be in use.
  void check_empty();
  // The structure of the segment: every block free or reached exactly once, no lock or sequence in the midst of
  // something.
  void check_structure();

 private:
  void check_registers();
  void check_counts();
  void check_tokens();
  void check_lines();
  void check_channels();
  void check_queue();
  void check_leftovers();
  void drain_queue();
  void hear_for(uint32_t actor);
  int64_t number_at(const Talk::Words& words);
  [[gnu::format(printf, 2, 3)]] void lost(const char* format, ...) noexcept;
  [[gnu::format(printf, 2, 3)]] void leaked(const char* format, ...) noexcept;

  Record& record_;
  std::shared_ptr<Process> process_;
  Talk talk_;
  std::unique_ptr<channels::Subscriber> listener_;
  uint64_t heard_[kChannels]{};
};

}  // namespace shoal::tool::chaos
