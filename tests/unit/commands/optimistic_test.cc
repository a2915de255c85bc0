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

#if !defined(SHOAL_LOCKED_READS)  // where a reader takes the lock, this one waits for the writer
// C1: the sequence is odd only while something changes that a reader may see.
TEST(OptimisticReading, IsDisturbedByTheFirstChangeAndNotByTheLock) {
  TestSegment segment;
  TestSession reader(segment);
  EXPECT_EQ(reader("SET a x"), "OK");
  const auto get = [&] {
    const Bytes words[] = {"GET", "a"};
    return reader.session().execute(words, kLoopLockBudgetNs);
  };
  const Key key = keyspace::make_key(segment.segment(), 0, "a");
  const shm::Shard& shard = segment.segment().shard(key.shard);
  const uint64_t before = shard.sequence.load();
  const std::shared_ptr<Process> writer = segment.attach();
  Transaction tx(*writer, *writer->context().value());
  ASSERT_TRUE(tx.begin(uint64_t{1} << key.shard, kLockBudgetNs).ok());
  EXPECT_EQ(get(), Outcome::kReplied) << "nothing has changed yet";
  ASSERT_NE(tx.create<std::byte>(100), nullptr);
  EXPECT_EQ(get(), Outcome::kReplied) << "nobody sees a fresh block";
  EXPECT_EQ(reader("GET a"), "x");
  EXPECT_EQ(shard.sequence.load(), before);

  const shm::Entry& entry = *keyspace::find(segment.segment(), key);
  tx.edit(entry.version) = tx.version(key.shard);
  EXPECT_EQ(shard.sequence.load(), before + 1);
  EXPECT_EQ(get(), Outcome::kBusy) << "only the lock can tell now";
  tx.rollback();
  EXPECT_EQ(get(), Outcome::kReplied);
  EXPECT_EQ(shard.sequence.load(), before + 2);

  SingleEdit edit(segment.segment(), *writer->context().value(), {}, key.shard);
  ASSERT_TRUE(edit.locked());
  EXPECT_EQ(get(), Outcome::kReplied);
  EXPECT_EQ(shard.sequence.load(), before + 2);
}
#endif

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
