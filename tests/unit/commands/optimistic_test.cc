// SPDX-License-Identifier: MIT
// What a reader without a lock gave up on must not reach the caller.
#include <gtest/gtest.h>

#include "commands/call.h"
#include "support/redis_session.h"

namespace shoal {
namespace {

// What a GET answers whose attempt without a lock writes `given_up` and fails, and whose handler then answers 7.
std::string answer_after(void (*given_up)(Reply&)) {
  static void (*write)(Reply&);
  write = given_up;
  TestSegment segment;
  Session session(segment.process());
  Command command = *find_command("GET");
  command.optimistic = [](Call& call) {
    write(call.reply());
    return false;
  };
  command.handler = [](Call& call) { call.reply().integer(7); };
  const Bytes words[] = {"GET", "a"};
  EXPECT_EQ(CallRunner(session).run(command, words, kLockBudgetNs), Outcome::kReplied);
  ReplyReader reader(session.reply());
  const std::string answer = show(reader);
  EXPECT_TRUE(reader.done());
  return answer;
}

TEST(OptimisticReading, AnAttemptThatGaveUpLeavesNothingInTheAnswer) {
  EXPECT_EQ(answer_after([](Reply& reply) { reply.bulk("torn"); }), "7");
}

TEST(OptimisticReading, AnAttemptThatFoundTheArenaTooSmallDoesNotFailTheCall) {
  EXPECT_EQ(answer_after([](Reply& reply) { reply.bulk(std::string(100'000, 'x')); }), "7");
}

}  // namespace
}  // namespace shoal
