// SPDX-License-Identifier: MIT
// patterns.h: which patterns match a channel's name. Each thread keeps a copy of all patterns and, for the names it
// publishes to, which of them match; Header::pattern_version tells when to copy anew. No patterns, the usual case,
// costs one load.
//
// PSUBSCRIBE raises the version while it holds shard 0's lock, before it commits: who sees the new version waits for
// that lock and copies the new list; who sees the old one published before the subscription was there.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "channels/directory.h"

namespace shoal::channels {

class PatternCache {
 public:
  // This thread's, for this segment.
  static PatternCache& of_this_thread(Process& process);

  using Matches = std::vector<const Name*>;
  // The patterns that match; good until the next call. Errors: those of the lock, when the list must be copied.
  Status matches(Process& process, shm::Context& self, Bytes channel, int64_t budget_ns, const Matches*& found);

 private:
  static constexpr size_t kNamesMax = 4096;

  Status copy_patterns(Process& process, shm::Context& self, int64_t budget_ns);

  uint8_t uuid_[16] = {};
  uint32_t version_ = 0;
  bool copied_ = false;
  std::vector<std::unique_ptr<std::string>> texts_;
  std::vector<Name> names_;
  std::unordered_map<std::string, Matches> by_channel_;
};

}  // namespace shoal::channels
