// SPDX-License-Identifier: MIT
#include "crash/channel_words.h"

#include <sstream>
#include <stdexcept>

#include "types/dict.h"

namespace shoal::crash {

void ChannelWords::run(const std::string& line) {
  std::istringstream in(line);
  std::string verb, name;
  uint32_t keep = 0;
  bool flag = false;
  in >> verb >> name >> keep;
  Status status;
  if (verb == "keep") {
    status = channels::configure(*process_, name, {keep, 0}, kLockBudgetNs);
  } else if (verb == "subscribe" || verb == "psubscribe") {
    const auto kind = verb[0] == 'p' ? shm::ChannelKind::kPattern : shm::ChannelKind::kChannel;
    status = subscriber_.subscribe(kind, name, {}, kLockBudgetNs, flag);
  } else if (verb == "unsubscribe") {
    status = subscriber_.unsubscribe(shm::ChannelKind::kChannel, name, kLockBudgetNs, flag);
  } else if (verb == "close") {
    subscriber_.close();
  } else {
    throw std::runtime_error("no such word: " + line);
  }
  if (!status.ok() && status.code() != Code::kFull) throw std::runtime_error(describe(status));
}

std::vector<std::string> look_at_channels(const Segment& segment, uint32_t shard) {
  std::vector<std::string> lines;
  Dict::for_each(segment, segment.shard(shard).channels, [&](uint64_t item) {
    const auto& channel = *segment.pointer<shm::Channel>(item);
    if (channel.keep.load() == 0) return;
    std::string line =
        "channel " + std::string(channel.name()) + " keeps " + std::to_string(channel.keep.load()) + ": ";
    const RingBytes bytes = channels::ring_bytes(segment, channel);
    const uint64_t end = ring::live(channel.ring).position;
    for (uint64_t place = channel.ring.oldest.load(); place < end;) {
      const shm::Message message = bytes.header(place);
      std::string data(message.data_bytes, ' ');
      bytes.load(place + sizeof message + round_up(message.name_bytes, 8), data.data(), data.size());
      line += std::to_string(message.sequence) + "=" + data.substr(0, 20) + " ";
      place += shm::message_bytes(message);
    }
    lines.push_back(line);
  });
  return lines;
}

}  // namespace shoal::crash
