// SPDX-License-Identifier: MIT
// channel_words.h: operations on channels as lines of a case, and what a newcomer sees of the channels.
//
//   !c keep NAME MESSAGES [MILLISECONDS]   !c subscribe NAME   !c psubscribe PATTERN   !c unsubscribe NAME
//   !c punsubscribe PATTERN      !c close               !c second subscribe NAME (another subscriber of the thread)
//   !c read (all that there is)  !c wait (for no time)   !c reap (what threads that are gone had subscribed to)
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "channels/subscriber.h"

namespace shoal::crash {

class ChannelWords {
 public:
  explicit ChannelWords(std::shared_ptr<Process> process) : process_(process), subscriber_(process), second_(process) {}
  // What follows "!c ".
  void run(const std::string& line);

 private:
  std::shared_ptr<Process> process_;
  channels::Subscriber subscriber_, second_;
};

// A line a channel or pattern: who listens (records of the dead, until they are reaped), its setting, its messages.
std::vector<std::string> look_at_channels(const Segment& segment, uint32_t shard);

// How many listeners have no hint that something is there to be read (Context::ready), also those that are dead.
size_t untold(const Segment& segment);

// Whether a picture shows `before` without messages that a publication was about to push out of a ring at its limit:
// they are gone with the first byte of it (ring.h), told by their sequences to whoever had not read them.
bool only_oldest_messages_gone(const std::string& before, const std::string& seen, const std::string& after);

}  // namespace shoal::crash
