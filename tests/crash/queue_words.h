// SPDX-License-Identifier: MIT
// queue_words.h: operations on task queues as lines of a case, and what a newcomer sees of the queues.
//
//   !q declare Q [max N] [refuse] [mail] [expires MS]   !q expire   !q push Q DATA [PRIORITY [MS_FROM_NOW]]
//   !q purge Q   !q remove Q   !q revive Q
//   !q bind X K Q   !q unbind X K Q        !q route X DATA            to all that hear the exchange
//   !q topic X K PATTERN Q   !q untopic X K PATTERN Q                  !q answer Q DATA   if Q is there
//   !q C add Q   !q C take   !q C get Q (without a lease)   !q C ack N   !q C requeue N   !q C drop N
//   !q C listen  !q C unlisten  !q C sleep (after it listened: as in !sleep)   !q C leave Q   !q C close
//   !q C start N   !q C finish N ack|requeue|drop   !q C reap
//
// C is a consumer: "a" and "b" of the world's process, "x" and "y" of processes of their own. N counts takes from 1.
#pragma once

#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "queues/consumer.h"

namespace shoal::crash {

class QueueWords {
 public:
  explicit QueueWords(std::shared_ptr<Process> process) : process_(std::move(process)) {}
  // What follows "!q ".
  void run(const std::string& line);

 private:
  struct Who {
    std::shared_ptr<Process> process;
    std::unique_ptr<queues::TaskQueues> queues;
    std::unique_ptr<queues::Consumer> consumer;
  };
  Who& who(const std::string& name);
  void run_consumer(Who& who, const std::string& verb, std::istringstream& in);

  std::shared_ptr<Process> process_;
  std::map<std::string, Who> who_;
  std::vector<queues::LeaseTag> tags_;
};

// A line a queue and exchange of the shard: everything but block offsets and times of taking.
std::vector<std::string> look_at_queues(const Segment& segment, uint32_t shard);

}  // namespace shoal::crash
