// SPDX-License-Identifier: MIT
// What a reader without a lock gave up on must not reach the caller.
#include <gtest/gtest.h>

#include "commands/call.h"
#include "support/redis_session.h"

namespace shoal {
namespace {

TEST(OptimisticReading, AnAttemptThatGaveUpLeavesNothingInTheAnswer) {
  TestSegment segment;
  Session session(segment.process());
  Command command = *find_command("GET");
  command.optimistic = [](Call& call) {
    call.reply().bulk("torn");
    return false;
  };
  command.handler = [](Call& call) { call.reply().integer(7); };
  const Bytes words[] = {"GET", "a"};
  ASSERT_EQ(CallRunner(session).run(command, words, kLockBudgetNs), Outcome::kReplied);
  ReplyReader reader(session.reply());
  EXPECT_EQ(show(reader), "7");
  EXPECT_TRUE(reader.done());
}

TEST(OptimisticReading, AnAttemptThatFoundTheArenaTooSmallDoesNotFailTheCall) {
  TestSegment segment;
  Session session(segment.process());
  Command command = *find_command("GET");
  command.optimistic = [](Call& call) {
    call.reply().bulk(std::string(100'000, 'x'));
    return false;
  };
  command.handler = [](Call& call) { call.reply().integer(7); };
  const Bytes words[] = {"GET", "a"};
  ASSERT_EQ(CallRunner(session).run(command, words, kLockBudgetNs), Outcome::kReplied);
  ReplyReader reader(session.reply());
  EXPECT_EQ(show(reader), "7");
}

}  // namespace
}  // namespace shoal
