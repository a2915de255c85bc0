// SPDX-License-Identifier: MIT
#include "channels/patterns.h"

#include <cstring>

#include "base/glob.h"
#include "transaction/owner_lock.h"

namespace shoal::channels {

namespace {
const PatternCache::Matches no_matches;
}

PatternCache& PatternCache::of_this_thread(Process& process) {
  thread_local PatternCache cache;
  const auto& uuid = process.segment().header().uuid;
  if (__builtin_expect(std::memcmp(cache.uuid_, uuid, sizeof uuid) != 0, 0)) {
    cache = PatternCache();
    std::memcpy(cache.uuid_, uuid, sizeof uuid);
  }
  return cache;
}

Status PatternCache::matches(Process& process, shm::Context& self, Bytes channel, int64_t budget_ns,
                             const Matches*& found) {
  found = &no_matches;
  const uint32_t version = process.segment().header().pattern_version.load(std::memory_order_acquire);
  if (__builtin_expect(!copied_ || version != version_, 0)) {
    if (Status status = copy_patterns(process, self, budget_ns); !status.ok()) return status;
    version_ = version;
    copied_ = true;
  }
  if (__builtin_expect(names_.empty(), 1)) return {};
  if (by_channel_.size() >= kNamesMax) by_channel_.clear();
  const auto [place, fresh] = by_channel_.try_emplace(std::string(channel));
  if (fresh) {
    for (const Name& name : names_) {
      if (glob_match(name.text, channel)) place->second.push_back(&name);
    }
  }
  found = &place->second;
  return {};
}

Status PatternCache::copy_patterns(Process& process, shm::Context& self, int64_t budget_ns) {
  const Segment& segment = process.segment();
  by_channel_.clear();
  names_.clear();
  texts_.clear();
  std::string all;  // grown outside of the lock, as often as it takes
  for (;;) {
    uint64_t needed = 0;
    {
      ShardLock lock(process, self, 0, budget_ns);
      if (!lock.ok()) return lock.status();
      char* out = all.data();
      for (uint64_t next = segment.header().patterns; next != 0;) {
        const auto& pattern = *segment.pointer<shm::Channel>(next);
        const uint32_t bytes = pattern.name_bytes;
        if (needed + sizeof bytes + bytes <= all.size()) {
          std::memcpy(out + needed, &bytes, sizeof bytes);
          std::memcpy(out + needed + sizeof bytes, pattern.name().data(), bytes);
        }
        needed += sizeof bytes + bytes;
        next = pattern.next_pattern;
      }
    }
    const bool whole = needed <= all.size();
    all.resize(needed);
    if (whole) break;
  }
  for (size_t place = 0; place < all.size();) {
    uint32_t bytes;
    std::memcpy(&bytes, all.data() + place, sizeof bytes);
    texts_.push_back(std::make_unique<std::string>(all, place + sizeof bytes, bytes));
    names_.push_back(name_of(segment, ChannelKind::kPattern, *texts_.back()));
    place += sizeof bytes + bytes;
  }
  return {};
}

}  // namespace shoal::channels
