// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "base/clock.h"
#include "channels/subscriber.h"
#include "commands/check.h"
#include "queues/task_queue.h"
#include "support/redis_session.h"

namespace shoal {
namespace {

class StringCommands : public ::testing::Test {
 protected:
  TestSegment segment_;
  TestSession r{segment_};
  ~StringCommands() override { set_wall_clock_offset_ms(0); }
};

TEST_F(StringCommands, GetReturnsWhatSetStored) {
  EXPECT_EQ(r("GET a"), "(nil)");
  EXPECT_EQ(r("SET a 1"), "OK");
  EXPECT_EQ(r("GET a"), "1");
  EXPECT_EQ(r("SET a longer-than-before"), "OK");
  EXPECT_EQ(r("GET a"), "longer-than-before");
}

TEST_F(StringCommands, DatabasesAreApart) {
  r("SET a zero");
  r("SELECT 3");
  EXPECT_EQ(r("GET a"), "(nil)");
  r("SET a three");
  EXPECT_EQ(r("DBSIZE"), "1");
  r("SELECT 0");
  EXPECT_EQ(r("GET a"), "zero");
}

TEST_F(StringCommands, ManyKeysAreFoundAndRemovedAgain) {
  const uint64_t empty_bytes = [&] {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < 4; ++i) sum += segment_.segment().shard(i).bytes_used;
    return sum;
  }();
  for (int i = 0; i < 20000; ++i) ASSERT_EQ(r("SET key:" + std::to_string(i) + " value:" + std::to_string(i)), "OK");
  EXPECT_EQ(r("DBSIZE"), "20000");
  for (int i = 0; i < 20000; ++i) ASSERT_EQ(r("GET key:" + std::to_string(i)), "value:" + std::to_string(i));
  for (int i = 0; i < 20000; ++i) ASSERT_EQ(r("DEL key:" + std::to_string(i)), "1");
  uint64_t sum = 0;
  for (uint32_t i = 0; i < 4; ++i) sum += segment_.segment().shard(i).bytes_used;
  EXPECT_EQ(sum, empty_bytes);
}

TEST_F(StringCommands, ACommandMayNameAHundredThousandKeys) {
  constexpr size_t kMany = 100'000;
  std::vector<std::string> sets{"MSET"}, removals{"DEL"}, pushes{"RPUSH", "list"};
  for (size_t i = 0; i < kMany; ++i) {
    const std::string name = "key:" + std::to_string(i);
    sets.insert(sets.end(), {name, "v"});
    removals.push_back(name);
    pushes.push_back(name);
  }
  EXPECT_EQ(r.run(sets), "OK");
  EXPECT_EQ(r.run(pushes), std::to_string(kMany));
  EXPECT_EQ(r("DBSIZE"), std::to_string(kMany + 1));
  EXPECT_EQ(r.run(removals), std::to_string(kMany));
  EXPECT_EQ(r("LINDEX list -1"), "key:99999");
  EXPECT_EQ(r("DBSIZE"), "1");
}

TEST_F(StringCommands, AThreadKeepsLittleOfTheJournalOfAHugeCommand) {
  const auto journal_bytes = [&] {
    const Segment& segment = segment_.segment();
    const auto end = static_cast<uint32_t>(segment.committed() / kPageBytes);
    uint64_t pages = 0;
    for (auto page = static_cast<uint32_t>(segment.extents_offset() / kPageBytes); page < end; ++page)
      pages += shm::page_kind(segment.page(page).owner.load()) == shm::PageKind::kJournal;  // of a span the first one
    return pages * kChunkPages * kPageBytes;
  };
  std::vector<std::string> sets{"MSET"};
  for (int i = 0; i < 50'000; ++i) sets.insert(sets.end(), {"key:" + std::to_string(i), "v"});
  EXPECT_EQ(r.run(sets), "OK");
  EXPECT_LE(journal_bytes(), kJournalBytesKept + 2 * kChunkPages * kPageBytes);
  EXPECT_GE(journal_bytes(), kJournalBytesKept / 2) << "for the next one";
  EXPECT_EQ(r.run(sets), "OK");
  EXPECT_LE(journal_bytes(), kJournalBytesKept + 2 * kChunkPages * kPageBytes);
  EXPECT_TRUE(check(segment_.segment()).clean());
}

TEST_F(StringCommands, ARandomKeyIsFoundBesideManyOfAnotherDatabase) {
  EXPECT_EQ(r("RANDOMKEY"), "(nil)");
  r("SET only 1");
  r("SELECT 1");
  for (int i = 0; i < 50'000; ++i) r("SET key:" + std::to_string(i) + " v");
  r("SELECT 0");
  for (int i = 0; i < 100; ++i) ASSERT_EQ(r("RANDOMKEY"), "only");
  r("PEXPIRE only 1");
  set_wall_clock_offset_ms(5000);
  EXPECT_EQ(r("RANDOMKEY"), "(nil)") << "that one has gone";
}

TEST_F(StringCommands, ScanTakesATypeInAnyLetters) {
  r("SET a 1");
  r("RPUSH b 1");
  const auto finds = [&](const std::string& type) {
    std::string all;
    for (std::string cursor = "0"; all.empty() || cursor != "0";) {
      const std::string page = r("SCAN " + cursor + " COUNT 100 TYPE " + type);
      cursor = page.substr(1, page.find(',') - 1);
      all += page;
    }
    return all.find("[a]") != std::string::npos;
  };
  for (const char* type : {"string", "STRING", "String"}) EXPECT_TRUE(finds(type)) << type;
  EXPECT_FALSE(finds("stringstringstring"));
}

TEST_F(StringCommands, LargeValuesAreBlobs) {
  for (size_t size : {1000, 2047, 2048, 5000, 65536, 1000000}) {
    const std::string value(size, 'x');
    EXPECT_EQ(r.run({"SET", "big", value}), "OK");
    EXPECT_EQ(r("STRLEN big"), std::to_string(size));
    EXPECT_EQ(r("GET big"), value);
    EXPECT_EQ(r.run({"APPEND", "big", "tail"}), std::to_string(size + 4));
    EXPECT_EQ(r("GETRANGE big -5 -1"), "xtail");
    EXPECT_EQ(r.run({"SETRANGE", "big", "1", "yy"}), std::to_string(size + 4));
    EXPECT_EQ(r("GETRANGE big 0 3"), "xyyx");
  }
  EXPECT_EQ(r("DEL big"), "1");
}

TEST_F(StringCommands, KeysExpireByTheWallClock) {
  r("SET a 1 PX 3600000");
  EXPECT_EQ(r("GET a"), "1");
  EXPECT_EQ(r("SET b 2"), "OK");
  EXPECT_EQ(r("EXPIRE b 36000"), "1");
  EXPECT_EQ(r("TTL b"), "36000");
  EXPECT_EQ(r("GET b"), "2");
  set_wall_clock_offset_ms(3'600'001);
  EXPECT_EQ(r("GET a"), "(nil)");
  EXPECT_EQ(r("PERSIST b"), "1");
  set_wall_clock_offset_ms(72'000'000);
  EXPECT_EQ(r("GET b"), "2");
  EXPECT_EQ(r("TTL a"), "-2");
  EXPECT_EQ(r("SET a new"), "OK");
  EXPECT_EQ(r("TTL a"), "-1");
}

TEST_F(StringCommands, ErrorsAreRedissOwn) {
  EXPECT_EQ(r("GET"), "(error) ERR wrong number of arguments for 'get' command");
  EXPECT_EQ(r("NOSUCH a b"), "(error) ERR unknown command 'NOSUCH', with args beginning with: 'a' 'b' ");
  r("SET a text");
  EXPECT_EQ(r("INCR a"), "(error) ERR value is not an integer or out of range");
  EXPECT_EQ(r("SET a 1 EX 0"), "(error) ERR invalid expire time in 'set' command");
  EXPECT_EQ(r("SET a 1 NX XX"), "(error) ERR syntax error");
  EXPECT_EQ(r("RENAME missing x"), "(error) ERR no such key");
}

TEST_F(StringCommands, ScanVisitsEveryKeyOnce) {
  for (int i = 0; i < 500; ++i) r("SET k" + std::to_string(i) + " v");
  std::string cursor = "0";
  int seen = 0;
  do {
    const std::string reply = r("SCAN " + cursor + " COUNT 20");
    cursor = reply.substr(1, reply.find(',') - 1);
    for (char c : reply) seen += c == 'k';
  } while (cursor != "0");
  EXPECT_EQ(seen, 500);
}

TEST_F(StringCommands, ErrorThatQuotesALineBreakIsOneLine) {
  EXPECT_EQ(r.run({"NO\r\nSUCH", "a\nb"}), "(error) ERR unknown command 'NO  SUCH', with args beginning with: 'a b' ");
  EXPECT_EQ(r.run({"EXPIRE", "k", "1", "\nb\r\n"}),
            "(error) ERR Unsupported option  b");  // at its end they are left out
}

TEST_F(StringCommands, ExecWithArgumentsEndsItsTransaction) {
  r("MULTI");
  r("SET a 1");
  EXPECT_EQ(r("EXEC now"),
            "(error) EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command");
  EXPECT_EQ(r("EXEC"), "(error) ERR EXEC without MULTI");
  EXPECT_EQ(r("EXISTS a"), "0");
}

TEST_F(StringCommands, ExecRunsAllOrNothingUnderWatch) {
  TestSession other(segment_);
  r("SET a 1");
  r("WATCH a");
  r("MULTI");
  EXPECT_EQ(r("INCR a"), "QUEUED");
  EXPECT_EQ(r("SET b 2"), "QUEUED");
  EXPECT_EQ(r("EXEC"), "[2, OK]");
  r("WATCH a");
  other("SET a 5");
  r("MULTI");
  r("SET a 6");
  EXPECT_EQ(r("EXEC"), "(nil array)");
  EXPECT_EQ(r("GET a"), "5");
  r("MULTI");
  r("INCR nosuch wrong arity");
  EXPECT_EQ(r("EXEC"), "(error) EXECABORT Transaction discarded because of previous errors.");
  r("SET text x");
  r("MULTI");
  r("SET c 1");
  r("INCR text");
  EXPECT_EQ(r("EXEC"), "[OK, (error) ERR value is not an integer or out of range]");
  EXPECT_EQ(r("GET c"), "1");
}

TEST_F(StringCommands, FlushedKeysAreFreedBitByBit) {
  for (int i = 0; i < 2000; ++i) r("SET k" + std::to_string(i) + " v");
  r("SELECT 1");
  r("SET other v");
  r("SELECT 0");
  EXPECT_EQ(r("FLUSHDB"), "OK");
  EXPECT_EQ(r("DBSIZE"), "0");
  EXPECT_EQ(r("GET k7"), "(nil)");
  EXPECT_EQ(r("FLUSHALL ASYNC SYNC"), "(error) ERR syntax error");
  EXPECT_EQ(r("FLUSHALL"), "OK");
  for (int i = 0; i < 3000; ++i) r("SET a" + std::to_string(i % 64) + " v");
  for (uint32_t i = 0; i < 4; ++i) EXPECT_EQ(segment_.segment().shard(i).lazy_free, 0u);
}

SegmentOptions soon_full() {
  SegmentOptions options = tiny_segment_options();
  options.max_size = 8 * kMiB;
  return options;
}

TEST_F(StringCommands, WhoIsNewInAFullSegmentCanStillRemove) {
  TestSegment segment(soon_full());
  TestSession full(segment);
  int stored = 0;
  for (const uint64_t bytes : {100'000, 3000, 1}) {
    while (full.run({"SET", "k" + std::to_string(stored), std::string(bytes, 'x')}) == "OK") ++stored;
  }
  std::thread newcomer([&] {  // without a journal, for which it wants a page
    TestSession session(segment.attach());
    EXPECT_EQ(session("DEL k0"), "1");
    EXPECT_EQ(session.run({"SET", "k0", std::string(1000, 'y')}), "OK");
  });
  newcomer.join();
  EXPECT_EQ(full("STRLEN k0"), "1000");
}

TEST_F(StringCommands, WhatWasRemovedDoesNotFillASegment) {
  TestSegment segment(soon_full());
  TestSession session(segment);
  std::vector<std::string> add{"SADD", "members"};
  for (int i = 0; i < 2000; ++i) add.push_back(std::to_string(i));
  EXPECT_EQ(session.run(add), "2000");
  for (int i = 0; i < 500 && !HasFailure(); ++i) EXPECT_EQ(session("SUNIONSTORE copy members"), "2000");
  EXPECT_TRUE(check(segment.segment()).clean());
}

// Large values until the segment is full, then their removal; how many they were.
size_t fill_and_remove(TestSession& session) {
  const std::string value(600'000, 'x');
  std::vector<std::string> remove{"DEL"};
  for (int i = 0; session.run({"SET", "k" + std::to_string(i), value}) == "OK"; ++i) {
    remove.push_back("k" + std::to_string(i));
  }
  EXPECT_GT(remove.size(), 8u);
  EXPECT_EQ(session.run(remove), std::to_string(remove.size() - 1));
  return remove.size() - 1;
}

std::string large_name(int number) { return std::to_string(number) + std::string(4000, 'x'); }  // takes a page

void subscribe(channels::Subscriber& subscriber, const std::string& name) {
  bool fresh = false;
  const Status status = subscriber.subscribe(channels::ChannelKind::kChannel, name, {}, kLockBudgetNs, fresh);
  EXPECT_TRUE(status.ok()) << name.substr(0, 4) << ": " << describe(status);
}

TEST_F(StringCommands, WhatWasRemovedKeepsNoTaskOutOfAFullSegment) {
  TestSegment segment(soon_full());
  TestSession session(segment);
  const size_t removed = fill_and_remove(session);
  queues::TaskQueues queues(session.session().process(), 0);
  const std::string task(50'000, 'x');  // a value of that size lies in ten pieces
  for (size_t i = 0; i < 10 * removed; ++i) ASSERT_TRUE(queues.push("q", {task}).ok()) << i;
  EXPECT_TRUE(check(segment.segment()).clean());
}

TEST_F(StringCommands, WhatWasRemovedKeepsNoChannelOutOfAFullSegment) {
  TestSegment segment(soon_full());
  TestSession session(segment);
  (void)fill_and_remove(session);
  channels::Subscriber subscriber(segment.process());
  constexpr int kChannels = 600;
  for (int i = 0; i < kChannels && !HasFailure(); ++i) subscribe(subscriber, large_name(i));
  EXPECT_TRUE(check(segment.segment()).clean());
}

TEST_F(StringCommands, ARemovedSetKeepsNoChannelAndNoTaskOutOfAFullSegment) {
  TestSegment segment(soon_full());
  TestSession session(segment);
  for (int i = 0; session.run({"SADD", "s", "member-" + std::to_string(i)}) == "1"; ++i) {
  }
  EXPECT_EQ(session.run({"DEL", "s"}), "1");
  channels::Subscriber subscriber(segment.process());
  queues::TaskQueues queues(session.session().process(), 0);
  for (int i = 0; i < 300; ++i) {
    subscribe(subscriber, large_name(i));
    ASSERT_TRUE(!HasFailure() && queues.push("q", {large_name(i)}).ok()) << i;
  }
  EXPECT_TRUE(check(segment.segment()).clean());
}

TEST_F(StringCommands, HundredsOfKeysCanBeRemovedAtOnceFromAFullSegment) {
  TestSegment segment(soon_full());
  TestSession session(segment);
  const auto set = [&](int i) { return session.run({"SET", "k" + std::to_string(i), std::string(32, 'x')}) == "OK"; };
  int stored = 0;
  while (set(stored)) ++stored;
  constexpr int kRounds = 6, kAtOnce = 500;
  ASSERT_GT(stored, kRounds * kAtOnce);
  const auto remove_and_fill = [&](TestSession& who, int first) {
    std::vector<std::string> words{"DEL"};
    for (int i = first; i < first + kAtOnce; ++i) words.push_back("k" + std::to_string(i));
    EXPECT_EQ(who.run(words), std::to_string(kAtOnce)) << first;
    for (int i = first; i < first + kAtOnce && set(i); ++i) continue;
  };
  for (int round = 0; round < kRounds; round += 2) {  // what one took of the last pages is there for the next thread's
    remove_and_fill(session, round * kAtOnce);
    std::thread([&] {
      TestSession other(segment);
      remove_and_fill(other, (round + 1) * kAtOnce);
    }).join();
  }
  EXPECT_TRUE(check(segment.segment()).clean());
}

// How many pieces a value that is a blob lies in.
size_t pieces_of(TestSegment& segment, const std::string& name) {
  const auto* entry = keyspace::find(segment.segment(), keyspace::make_key(segment.segment(), 0, name));
  size_t count = 0;
  type_row(entry->type())
      ->check(
          segment.segment(), *entry,
          [](void* counted, uint64_t) noexcept {
            ++*static_cast<size_t*>(counted);
            return true;
          },
          &count);
  return count;
}

TEST_F(StringCommands, AValueThatIsAppendedToALittleAtATimeLiesInFewPiecesWithLittleToSpare) {
  for (const size_t each : {1, 100, 5000}) {
    r("DEL log");
    const std::string part(each, 'x');
    for (size_t bytes = each, next = 2048; bytes <= 300'000; bytes += each) {
      ASSERT_EQ(r.run({"APPEND", "log", part}), std::to_string(bytes));
      if (bytes < next) continue;
      next += 1000;
      ASSERT_LE(std::stoul(r("MEMORY USAGE log")), bytes + bytes / 4 + kPageBytes) << bytes;
      ASSERT_LE(pieces_of(segment_, "log"), 30 + bytes / 65'536) << bytes;
    }
  }
}

TEST_F(StringCommands, AnAppendedValueIsWhatWasAppended) {
  std::string expected;
  uint64_t random = 1;
  while (expected.size() < 700'000) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    const uint64_t sizes[] = {1, 7, 100, 700, 4096, 30'000, 65'520, 65'521, 131'072};
    const std::string part(sizes[(random >> 40) % std::size(sizes)], static_cast<char>('a' + (random >> 33) % 26));
    expected += part;
    ASSERT_EQ(r.run({"APPEND", "a", part}), std::to_string(expected.size()));
    ASSERT_EQ(r("GET a"), expected);
    const uint64_t from = (random >> 20) % expected.size(), bytes = (random >> 30) % 70'000;
    ASSERT_EQ(r("GETRANGE a " + std::to_string(from) + " " + std::to_string(from + bytes)),
              expected.substr(from, bytes + 1));
  }
  EXPECT_EQ(r("STRLEN a"), std::to_string(expected.size()));
  EXPECT_EQ(r("COPY a b"), "1");
  EXPECT_EQ(r("GET b"), expected);
  EXPECT_LE(pieces_of(segment_, "b"), expected.size() / 65'000 + 1);
  EXPECT_EQ(r("APPEND b tail"), std::to_string(expected.size() + 4));
  EXPECT_EQ(r("GET b"), expected + "tail");
  EXPECT_TRUE(check(segment_.segment()).clean());
}

TEST_F(StringCommands, AValueOfManyPiecesIsFreedBitByBitHoweverShortItIs) {
  for (int i = 0; i < 1000; ++i) r.run({"APPEND", "a", std::string(100, 'x')});
  ASSERT_GT(pieces_of(segment_, "a"), kFreeAtOnceBlocks);
  const uint32_t shard = keyspace::make_key(segment_.segment(), 0, "a").shard;
  EXPECT_EQ(r("DEL a"), "1");
  EXPECT_NE(segment_.segment().shard(shard).lazy_free, 0u);
}

TEST_F(StringCommands, AnAppendedValueCanBeRemovedFromAFullSegment) {
  TestSegment segment(soon_full());
  TestSession session(segment);
  for (int i = 0; i < 100'000; ++i) session("APPEND log x");
  for (const uint64_t bytes : {100'000, 3000, 1}) {
    for (int i = 0;
         session.run({"SET", std::to_string(bytes) + "-" + std::to_string(i), std::string(bytes, 'x')}) == "OK";)
      ++i;
  }
  EXPECT_EQ(session("DEL log"), "1");
  EXPECT_EQ(session("EXISTS log"), "0");
  EXPECT_TRUE(check(segment.segment()).clean());
}

TEST_F(StringCommands, FullSegmentIsAClearErrorAndLosesNothing) {
  SegmentOptions small = tiny_segment_options();
  small.max_size = 4 * kMiB;
  TestSegment segment(small);
  TestSession full(segment);
  const std::string value(1000, 'x');
  int stored = 0;
  std::string reply;
  while ((reply = full.run({"SET", "k" + std::to_string(stored), value})) == "OK") ++stored;
  EXPECT_EQ(reply.substr(0, 12), "(error) OOM ");
  EXPECT_GT(stored, 1000);
  EXPECT_EQ(full("DBSIZE"), std::to_string(stored));
  EXPECT_EQ(full("GET k0"), value);
  EXPECT_EQ(full("DEL k0"), "1");
  EXPECT_EQ(full.run({"SET", "k0", value}), "OK");  // in the shard that has room now
}

}  // namespace
}  // namespace shoal
