// SPDX-License-Identifier: MIT
// What a reader without a lock gave up on must not reach the caller.
#include <gtest/gtest.h>

#include "commands/call.h"
#include "commands/reap.h"
#include "keyspace/read_blob.h"
#include "support/process_fixture.h"
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

// Its version and place are as they were, but a copy that was begun before may hold bytes of the change.
TEST(OptimisticReading, ALargeValueWhoseChangeDiedWithItsWriterIsAnotherPlace) {
  TestSegment segment;
  EXPECT_EQ(TestSession(segment).run({"SET", "a", std::string(100'000, 'x')}), "OK");
  const Key key = keyspace::make_key(segment.segment(), 0, "a");
  const auto look = [&] {
    keyspace::BlobPlace place;
    EXPECT_EQ(keyspace::find_blob(segment.segment(), key, place), keyspace::ReadString::kValue);
    return place;
  };
  const keyspace::BlobPlace before = look();
  Child writer([&] {
    const std::shared_ptr<Process> process = segment.attach();
    Transaction tx(*process, *process->context().value());
    if (!tx.begin(uint64_t{1} << key.shard, kLockBudgetNs).ok()) return 1;
    keyspace::remove(tx, key, *keyspace::find(process->segment(), key));
    return ::raise(SIGKILL);
  });
  EXPECT_EQ(writer.wait(), 128 + SIGKILL);
  EXPECT_EQ(sweep(*segment.process()), 1u);
  const keyspace::BlobPlace after = look();
  EXPECT_EQ(after.version, before.version);
  EXPECT_EQ(after.first, before.first);
  EXPECT_FALSE(after == before);
}

}  // namespace
}  // namespace shoal
