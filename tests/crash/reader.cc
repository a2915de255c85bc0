// SPDX-License-Identifier: MIT
#include "crash/reader.h"

#include <sstream>

#include "keyspace/keyspace.h"
#include "keyspace/read_string.h"
#include "types/dict.h"

namespace shoal::crash {

namespace {

constexpr size_t kKeysMax = 40;
const std::string kMissing = "-", kNeedsLock;

}  // namespace

Reader::Reader(const Segment& segment, const std::string& line) {
  std::istringstream in(line);
  for (std::string word; in >> word;) keys_.push_back({0, word});
  for (uint32_t shard = 0; shard < segment.shard_count(); ++shard) {
    Dict::for_each(segment, segment.shard(shard).keys, [&](uint64_t offset) {
      const auto& entry = *segment.pointer<shm::Entry>(offset);
      if (keys_.size() < kKeysMax) keys_.push_back({entry.info().database, std::string(entry.key())});
    });
  }
}

std::vector<std::string> Reader::look(const Segment& segment) const {
  std::vector<std::string> seen;
  for (const Watched& each : keys_) {
    std::string value;
    const Key key = keyspace::make_key(segment, each.database, each.key);
    const auto found = keyspace::read_string(segment, key.database, key.name, [&](uint64_t bytes) {
      value.assign(bytes + 1, '=');
      return value.data() + 1;
    });
    seen.push_back(found == keyspace::ReadString::kValue     ? value
                   : found == keyspace::ReadString::kMissing ? kMissing
                                                             : kNeedsLock);
  }
  return seen;
}

std::string Reader::deceived(const std::vector<std::string>& seen, const Segment& recovered) const {
  const std::vector<std::string> is = look(recovered);
  for (size_t i = 0; i < keys_.size(); ++i) {
    if (seen[i] != kNeedsLock && is[i] != kNeedsLock && seen[i] != is[i])
      return "a reader without a lock saw " + keys_[i].key + seen[i].substr(0, 60) + ", it is " + is[i].substr(0, 60);
  }
  return "";
}

}  // namespace shoal::crash
