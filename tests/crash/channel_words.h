// SPDX-License-Identifier: MIT
// channel_words.h: operations on channels as lines of a case, and what a newcomer sees of the channels.
//
//   !c keep NAME MESSAGES        !c subscribe NAME   !c psubscribe PATTERN   !c unsubscribe NAME   !c close
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "channels/subscriber.h"

namespace shoal::crash {

class ChannelWords {
 public:
  explicit ChannelWords(std::shared_ptr<Process> process) : process_(process), subscriber_(process) {}
  // What follows "!c ".
  void run(const std::string& line);

 private:
  std::shared_ptr<Process> process_;
  channels::Subscriber subscriber_;
};

// A line a channel that keeps a history: its name, its setting and its messages. (The others went with the dead.)
std::vector<std::string> look_at_channels(const Segment& segment, uint32_t shard);

}  // namespace shoal::crash
