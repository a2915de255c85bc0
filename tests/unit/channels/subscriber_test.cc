// SPDX-License-Identifier: MIT
#include "channels/subscriber.h"

#include <poll.h>

#include "base/clock.h"
#include "process/relay.h"
#include "process/wake.h"
#include "support/channel_fixture.h"
#include "support/eventually.h"
#include "transaction/owner_lock.h"

namespace shoal::channels {
namespace {

using ChannelSubscriber = ChannelTest;

TEST_F(ChannelSubscriber, PublishWithoutSubscriberOrHistoryLeavesNothingBehind) {
  const uint64_t before = bytes_used();
  const Published published = publish("nobody", "hello");
  EXPECT_EQ(published.receivers, 0u);
  EXPECT_EQ(published.incarnation, 0u);
  EXPECT_EQ(bytes_used(), before);
  EXPECT_EQ(channel_count(), 0u);
}

TEST_F(ChannelSubscriber, ARingOfRecordsKeepsNobodyInTheSegment) {
  Reader reader(process_);
  reader.subscribe("room");
  const uint64_t record = channel("room")->subscribers.load();
  auto& damaged = const_cast<shm::Subscription&>(*segment().pointer<shm::Subscription>(record));
  damaged.next = record;
  EXPECT_EQ(remove_all_stale(*process_, self()), 0u);
  EXPECT_GT(count_subscribers(segment(), *channel("room")), 1u) << "nonsense, but it ends";
  damaged.next = 0;
}

TEST_F(ChannelSubscriber, ALookWithoutTheLockFollowsNoDamagedBlock) {
  Reader reader(process_);
  reader.subscribe("room");
  publish("room", "x");
  const Name name = name_of(segment(), ChannelKind::kChannel, "room");
  LookUp found;
  EXPECT_TRUE(look_once(segment(), name, found) && found.channel != nullptr);
  auto& block = const_cast<shm::Channel&>(*channel("room")).ring.block;
  const uint64_t whole = block.load();
  for (const uint64_t damaged : {~uint64_t{0}, whole + segment().committed(), whole | uint64_t{1} << 47}) {
    block = damaged;
    EXPECT_FALSE(look_once(segment(), name, found)) << std::hex << damaged;
  }
  block = whole;
}

#if !defined(SHOAL_LOCKED_READS)  // where a reader takes the lock, this publisher waits for the holder
TEST_F(ChannelSubscriber, APublishThatNobodyHearsTakesNoLock) {
  publish("nobody", "this thread has copied the patterns");
  Signal locked, done;
  std::thread holder([&] {
    std::vector<std::unique_ptr<ShardLock>> locks;
    for (uint32_t shard = 0; shard < segment().shard_count(); ++shard)
      locks.push_back(std::make_unique<ShardLock>(*process_, self(), shard, kLockBudgetNs));
    locked.send();
    done.receive();
  });
  locked.receive();
  Published published;
  EXPECT_TRUE(channels::publish(*process_, self(), "nobody", "x", 0, published).ok());
  EXPECT_EQ(published.incarnation, 0u);
  done.send();
  holder.join();
}
#endif

TEST_F(ChannelSubscriber, EachSubscriberGetsEachMessageInOrder) {
  Reader one(process_), two(process_), other(attach());
  for (Reader* reader : {&one, &two, &other}) reader->subscribe("room");
  EXPECT_EQ(publish("room", "a").receivers, 3u);
  EXPECT_EQ(publish("room", "b").sequence, 2u);
  for (Reader* reader : {&one, &two, &other}) EXPECT_EQ(reader->read(), (Texts{"room:a", "room:b"}));
  EXPECT_EQ(one.read(), Texts{});
}

TEST_F(ChannelSubscriber, TheLastSubscriberTakesTheChannelWithIt) {
  const uint64_t before = bytes_used();
  {
    Reader one(process_), two(process_);
    one.subscribe("room").subscribe("other");
    two.subscribe("room");
    publish("room", "a");
    one.unsubscribe("room");
    EXPECT_EQ(publish("room", "b").receivers, 1u);
    EXPECT_EQ(channel_count(), 2u);
  }
  EXPECT_EQ(channel_count(), 0u);
  EXPECT_LE(bytes_used(), before + 4 * 8 * 1024) << "the directory's own tables stay";
}

TEST_F(ChannelSubscriber, PatternsGetWhatMatchesWithTheChannelsName) {
  Reader reader(process_);
  reader.subscribe("news.art").psubscribe("news.*").psubscribe("*");
  EXPECT_EQ(publish("news.art", "x").receivers, 3u);
  EXPECT_EQ(publish("weather", "y").receivers, 1u);
  auto got = reader.read();
  ASSERT_EQ(got.size(), 4u);
  EXPECT_EQ(got[0], "news.art:x");
  std::sort(got.begin() + 1, got.begin() + 3);
  EXPECT_EQ(got[1], "*>news.art:x");
  EXPECT_EQ(got[2], "news.*>news.art:x");
  EXPECT_EQ(got[3], "*>weather:y");
  bool there = false;
  ASSERT_TRUE(reader->unsubscribe(ChannelKind::kPattern, "*", kLockBudgetNs, there).ok());
  EXPECT_EQ(publish("weather", "z").receivers, 0u);
}

TEST_F(ChannelSubscriber, AnotherThreadsPublisherSeesANewPatternAtOnce) {
  publish("a", "nobody yet");
  std::thread([&] { Reader(process_).psubscribe("a*"); }).join();
  Reader reader(attach());
  reader.psubscribe("a*");
  EXPECT_EQ(publish("a", "x").receivers, 1u);
  EXPECT_EQ(reader.read(), Texts{"a*>a:x"});
}

TEST_F(ChannelSubscriber, APublishersOrderHoldsOverChannelsAndPatterns) {
  Reader reader(attach());
  Texts expected;
  for (int i = 0; i < 40; ++i) reader.subscribe("c" + std::to_string(i));
  reader.psubscribe("p*");
  for (int i = 0; i < 500; ++i) {
    const std::string name = i % 7 == 0 ? "p" + std::to_string(i) : "c" + std::to_string(i * 31 % 40);
    publish(name, std::to_string(i));
    expected.push_back((i % 7 == 0 ? "p*>" : "") + name + ":" + std::to_string(i));
  }
  EXPECT_EQ(reader.read(7), expected);
}

TEST_F(ChannelSubscriber, APublishersOrderHoldsForAReaderBesideIt) {
  auto theirs = attach();
  Reader reader(process_);
  constexpr int kMessages = 30'000;
  for (int i = 0; i < 20; ++i) reader.subscribe("c" + std::to_string(i));
  std::thread publisher([&] {
    shm::Context& context = *theirs->context().value();
    for (int i = 0; i < kMessages; ++i) {
      Published published;
      ASSERT_TRUE(channels::publish(*theirs, context, "c" + std::to_string(i * 7 % 20), std::to_string(i),
                                    kLockBudgetNs, published)
                      .ok());
    }
  });
  int last = -1, seen = 0, lost = 0, idle = 0;
  while (seen + lost < kMessages) {
    bool something = false;
    ASSERT_TRUE(reader->wait(1'000'000'000, something).ok());
    idle = something ? 0 : idle + 1;
    ASSERT_LT(idle, 60) << seen << " read and " << lost << " told as lost; nothing more comes";
    for (const std::string& text : reader.read(64)) {
      if (text.find('!') != std::string::npos) {
        lost += std::stoi(text.substr(text.find('!') + 1));
        continue;
      }
      const int number = std::stoi(text.substr(text.find(':') + 1));
      ASSERT_GT(number, last) << "out of order";
      last = number;
      ++seen;
    }
  }
  publisher.join();
  EXPECT_EQ(seen + lost, kMessages);
}

// ---- Gaps and growth ------------------------------------------------------------------------------------------------

TEST_F(ChannelSubscriber, ASlowSubscriberIsToldHowManyItLostAndNobodyWaitsForIt) {
  Reader slow(process_), fast(process_);
  slow.subscribe("room");
  fast.subscribe("room");
  uint64_t seen = 0, number = 0;
  constexpr uint64_t kMessages = 20'000;  // of 1000 bytes: far more than the ring takes
  for (; number < kMessages; ++number) {
    publish("room", std::to_string(number) + std::string(1000, '.'));
    if (number % 100 == 0) seen += fast.read().size();
  }
  seen += fast.read().size();
  EXPECT_EQ(seen, kMessages) << "without a gap";
  const Texts got = slow.read();
  ASSERT_GT(got.size(), 1u);
  const std::string gap = got[0];
  ASSERT_EQ(gap.substr(0, 5), "room!");
  EXPECT_EQ(std::stoull(gap.substr(5)) + got.size() - 1, kMessages);
  EXPECT_EQ(got[1].substr(0, 5 + gap.size() - 5), "room:" + gap.substr(5));
}

TEST_F(ChannelSubscriber, ARingComesWithItsFirstMessageAndIsSmall) {
  Reader reader(process_);
  reader.subscribe("room").psubscribe("r*");
  keep("kept", 1000);
  EXPECT_EQ(channel("room")->ring.block.load(), 0u);
  EXPECT_EQ(channel("kept")->ring.block.load(), 0u);
  for (const char* name : {"room", "kept"}) {
    publish(name, "x");
    EXPECT_EQ(shm::Ring::capacity_of(channel(name)->ring.block), kRingBytesMin);
  }
}

TEST_F(ChannelSubscriber, ARingGrowsWhileMessagesAreYoungAndKeepsEveryCursor) {
  Reader reader(process_), late(process_);
  reader.subscribe("room");
  late.subscribe("room");
  uint32_t capacity = 0;
  for (int i = 0; i < 2000; ++i) {
    publish("room", std::to_string(i));
    const uint32_t now = shm::Ring::capacity_of(channel("room")->ring.block);
    EXPECT_GE(now, capacity);
    capacity = now;
    if (i % 3 == 0) {
      EXPECT_EQ(reader.read().back(), "room:" + std::to_string(i));
    }
  }
  EXPECT_GE(capacity, 64u * 1024);
  EXPECT_EQ(late.read().size(), 2000u) << "nothing was lost by growing";
}

TEST_F(ChannelSubscriber, AMessageOverHalfTheRingsLimitIsRefusedAndTheLargestIsNot) {
  Reader reader(process_);
  reader.subscribe("room");
  const size_t most = message_bytes_max(segment()) - sizeof(shm::Message);
  publish("room", std::string(most, 'x'));
  EXPECT_EQ(reader.read()[0].size(), most + 5);
  Published published;
  const Status status =
      channels::publish(*process_, self(), "room", std::string(most + 1, 'x'), kLockBudgetNs, published);
  EXPECT_EQ(status.code(), Code::kRedisError);
  EXPECT_EQ(status.number(), static_cast<int64_t>(most));
}

TEST_F(ChannelSubscriber, AFullSegmentRefusesANewRingAndAnOldOneGoesOnInItsSize) {
  Reader reader(process_);
  reader.subscribe("old");
  publish("old", "first");
  std::vector<std::unique_ptr<Reader>> fill;
  Status status;
  for (int i = 0; i < 100'000 && status.ok(); ++i) {
    const std::string name = "fill" + std::to_string(i);
    reader.subscribe(name);
    Published published;
    status = channels::publish(*process_, self(), name, std::string(100'000, 'x'), kLockBudgetNs, published);
  }
  EXPECT_EQ(status.code(), Code::kFull) << describe(status);
  for (int i = 0; i < 2000; ++i) publish("old", std::to_string(i));
  expect_sound();
}

// ---- History and positions ------------------------------------------------------------------------------------------

TEST_F(ChannelSubscriber, HistoryIsHeldByTheChannelsSettingNotByItsSubscribers) {
  keep("room", 3);
  for (const char* text : {"a", "b", "c", "d"}) publish("room", text);
  EXPECT_EQ(Reader(process_).subscribe("room", {.last = 10, .since = {}}).read(),
            (Texts{"room:b", "room:c", "room:d"}));
  EXPECT_EQ(Reader(process_).subscribe("room", {.last = 1, .since = {}}).read(), Texts{"room:d"});
  EXPECT_EQ(Reader(process_).subscribe("room").read(), Texts{});
  EXPECT_EQ(channel_count(), 1u);
  keep("room", 0);
  EXPECT_EQ(channel_count(), 0u);
}

TEST_F(ChannelSubscriber, ARingGrowsToHoldWhatKeepPromisesAndSaysWhenItCannot) {
  keep("room", 1000);
  bool cut = false;
  for (int i = 0; i < 1500; ++i) cut |= publish("room", std::string(200, 'x')).history_cut;
  EXPECT_FALSE(cut);
  EXPECT_EQ(Reader(process_).subscribe("room", {.last = 1000, .since = {}}).read().size(), 1000u);
  for (int i = 0; i < 1500; ++i) cut |= publish("room", std::string(5000, 'x')).history_cut;
  EXPECT_TRUE(cut);
  EXPECT_GT(channel("room")->dropped_early.load(), 0u);
  EXPECT_EQ(configure(*process_, "room", {1'000'000, 0}, kLockBudgetNs).code(), Code::kRedisError);
}

TEST_F(ChannelSubscriber, ResumingByPositionGivesExactlyWhatWasMissed) {
  keep("room", 100);
  Position seen;
  for (int i = 1; i <= 10; ++i) {
    const Published published = publish("room", std::to_string(i));
    if (i == 7) seen = {published.incarnation, published.sequence};
  }
  Reader reader(process_);
  reader.subscribe("room", {.last = {}, .since = seen});
  publish("room", "11");
  EXPECT_EQ(reader.read(), (Texts{"room:8", "room:9", "room:10", "room:11"}));
}

TEST_F(ChannelSubscriber, ResumingBeforeTheOldestTellsHowManyAreGone) {
  Reader holder(process_);
  holder.subscribe("room");
  const uint64_t incarnation = publish("room", "0").incarnation;
  for (int i = 1; i < 3000; ++i) publish("room", std::to_string(i) + std::string(1000, '.'));
  const Texts got = Reader(process_).subscribe("room", {.last = {}, .since = Position{incarnation, 1}}).read();
  ASSERT_EQ(got[0].substr(0, 5), "room!");
  EXPECT_EQ(std::stoull(got[0].substr(5)) + got.size() - 1, 2999u);
}

TEST_F(ChannelSubscriber, APositionOfAnotherIncarnationIsAnsweredByAnUnknownGapAndWhatIsThere) {
  Position old;
  {
    Reader reader(process_);
    reader.subscribe("room");
    const Published published = publish("room", "old");
    old = {published.incarnation, published.sequence};
  }
  keep("room", 10);
  publish("room", "new");
  EXPECT_EQ(Reader(process_).subscribe("room", {.last = {}, .since = old}).read(), (Texts{"room!?", "room:new"}));
  const Published newest = publish("room", "newest");
  EXPECT_NE(newest.incarnation, old.incarnation);
  Reader ahead(process_);
  ahead.subscribe("room", {.last = {}, .since = Position{newest.incarnation, newest.sequence + 5}});
  EXPECT_EQ(ahead.read()[0], "room!?") << "a position from the future";
}

TEST_F(ChannelSubscriber, HistoryOlderThanItsTtlIsNotShown) {
  keep("room", 10, 30);
  const Published first = publish("room", "old");
  const int64_t until = monotonic_ns() + 40'000'000;
  while (monotonic_ns() < until) std::this_thread::yield();
  publish("room", "new");
  EXPECT_EQ(Reader(process_).subscribe("room", {.last = 10, .since = {}}).read(), Texts{"room:new"});
  const Position before{first.incarnation, first.sequence - 1};
  EXPECT_EQ(Reader(process_).subscribe("room", {.last = {}, .since = before}).read(), (Texts{"room!1", "room:new"}));
}

TEST_F(ChannelSubscriber, HistoryAndLiveJoinWithoutGapOrDuplicateBesideAPublisher) {
  keep("room", 1000);
  auto theirs = attach();
  std::atomic<bool> stop{false};
  std::thread publisher([&] {
    shm::Context& context = *theirs->context().value();
    for (int i = 0; !stop && i < 400'000; ++i) {
      Published published;
      ASSERT_TRUE(channels::publish(*theirs, context, "room", std::to_string(i), kLockBudgetNs, published).ok());
    }
  });
  for (int round = 0; round < 300; ++round) {
    Reader reader(process_);
    reader.subscribe("room", {.last = 20, .since = {}});
    int last = -1;
    for (const std::string& text : reader.read(50)) {
      if (text.find('!') != std::string::npos) break;  // fell behind: told
      const int number = std::stoi(text.substr(5));
      ASSERT_TRUE(last < 0 || number == last + 1) << last << " then " << number;
      last = number;
    }
  }
  stop = true;
  publisher.join();
}

// ---- Threads, forks, deaths -----------------------------------------------------------------------------------------

TEST_F(ChannelSubscriber, AReadInAnotherThreadTakesTheSubscriptionsAlong) {
  Reader reader(process_);
  reader.subscribe("room").psubscribe("r*");
  publish("room", "a");
  std::thread([&] {
    EXPECT_EQ(reader.read(), (Texts{"room:a", "r*>room:a"}));
    EXPECT_EQ(publish("room", "b").receivers, 2u) << "moved, not doubled";
    EXPECT_EQ(reader.read(), (Texts{"room:b", "r*>room:b"}));
  }).join();
  publish("room", "c");
  EXPECT_EQ(reader.read().size(), 2u) << "the thread has ended; its reader goes on";
}

TEST_F(ChannelSubscriber, ASleepingSubscriberIsWokenByAPublishAndByASubscriptionFromAnotherThread) {
  Reader reader(attach());
  reader.subscribe("room");
  keep("history", 5);
  publish("history", "kept");
  for (int round = 0; round < 50; ++round) {
    std::thread other([&] { publish("room", "wake up"); });
    Texts got;
    while (got.empty()) {
      bool something = false;
      ASSERT_TRUE(reader->wait(20'000'000'000, something).ok());
      got = reader.read();
    }
    EXPECT_EQ(got, Texts{"room:wake up"});
    other.join();
  }
  std::thread other([&] { reader.subscribe("history", {.last = 5, .since = {}}); });
  Texts got;
  while (got.empty()) {
    bool something = false;
    ASSERT_TRUE(reader->wait(20'000'000'000, something).ok());
    got = reader.read();
  }
  EXPECT_EQ(got, Texts{"history:kept"});
  other.join();
}

TEST_F(ChannelSubscriber, AForkedChildGoesOnWithACopyAndTheParentsStaysTheParents) {
  Reader reader(process_);
  reader.subscribe("room");
  publish("room", "before");
  Child child([&] {
    if (reader.read() != Texts{"room:before"}) return 1;
    if (publish("room", "child").receivers != 2) return 2;
    if (reader.read() != Texts{"room:child"}) return 3;
    reader->close();
    if (publish("room", "after").receivers != 1) return 4;
    process_.reset();
    return 0;
  });
  EXPECT_EQ(child.wait(), 0);
  EXPECT_EQ(reader.read(), (Texts{"room:before", "room:child", "room:after"}));
}

TEST_F(ChannelSubscriber, SubscriptionsOfAKilledProcessCountForNothingAndAreRemoved) {
  Reader stays(process_);
  stays.subscribe("shared");
  Signal ready;
  Child child([&] {
    auto mine = attach();
    Reader reader(mine);
    for (int i = 0; i < 300; ++i) reader.subscribe("own" + std::to_string(i));
    reader.subscribe("shared").psubscribe("*");
    ready.send();
    ::pause();
    return 0;
  });
  ready.receive();
  EXPECT_EQ(publish("shared", "x").receivers, 3u);
  child.kill();
  EXPECT_EQ(recover_all(*process_, self().id), 1u);
  EXPECT_EQ(publish("shared", "y").receivers, 1u);
  EXPECT_EQ(remove_all_stale(*process_, self()), 302u);
  EXPECT_EQ(remove_all_stale(*process_, self()), 0u);
  EXPECT_EQ(channel_count(), 1u);
  EXPECT_EQ(stays.read(), (Texts{"shared:x", "shared:y"}));
}

// The offset of the block is as it was; the bytes that were read need not be.
TEST_F(ChannelSubscriber, AReaderIsToldToLookAgainAfterAGrowthThatWasUndone) {
  Reader reader(process_);
  reader.subscribe("room");
  publish("room", "x");
  const Name name = name_of(segment(), ChannelKind::kChannel, "room");
  LookUp found;
  ASSERT_TRUE(look_up(*process_, self(), name, kLockBudgetNs, found).ok());
  const uint64_t block = channel("room")->ring.block;
  Child child([&] {
    auto mine = attach();
    Transaction tx(*mine, *mine->context().value());
    if (!tx.begin(name.shards(), kLockBudgetNs).ok()) return 1;
    return reserve(tx, name, *find(tx.segment(), name), 100'000) ? ::raise(SIGKILL) : 1;
  });
  EXPECT_EQ(child.wait(), 128 + SIGKILL);
  EXPECT_NE(channel("room")->ring.block, block);
  EXPECT_EQ(recover_all(*process_, self().id), 1u);
  EXPECT_EQ(channel("room")->ring.block, block);
  EXPECT_FALSE(found.reader.still_there());
  EXPECT_EQ(reader.read(), Texts{"room:x"});
}

TEST_F(ChannelSubscriber, WhoDiesWithAWakeToPassOnHasItPassedOnByRecovery) {
  for (const uint32_t debt : {relay::kPassOn, relay::kPassing}) {
    auto loop = LoopWaker::create(*process_);
    ASSERT_TRUE(loop.ok()) << describe(loop.status());
    Child child([&] {
      self().relay = debt;  // woken, and not yet back from its sleep; or at it
      ::raise(SIGKILL);
      return 0;
    });
    child.wait();
    loop.value()->arm();
    EXPECT_EQ(recover_all(*process_, self().id), 1u);
    pollfd readable{loop.value()->fd(), POLLIN, 0};
    EXPECT_EQ(::poll(&readable, 1, 0), 1) << debt;
    loop.value()->disarm(*process_);
  }
}

TEST_F(ChannelSubscriber, ASubscriptionThatWasReapedByMistakeIsMadeAnewAndTheHoleIsTold) {
  Reader reader(process_);
  reader.subscribe("room");
  publish("room", "a");
  EXPECT_EQ(reader.read(), Texts{"room:a"});
  const Name name = name_of(segment(), ChannelKind::kChannel, "room");
  const uint64_t incarnation = channel("room")->incarnation;
  ASSERT_TRUE(transact(*process_, self(), {Purpose::kUnsubscribe}, name.shards(), kLockBudgetNs, [&](Transaction& tx) {
                unsubscribe(tx, name, incarnation, self().id);
              }).ok());
  EXPECT_EQ(channel_count(), 0u);
  for (auto& word : self().ready) word = ~uint64_t{0};  // as a reaper's wake would
  EXPECT_EQ(reader.read(), Texts{"room!?"});
  publish("room", "b");
  EXPECT_EQ(reader.read(), Texts{"room:b"});
}

TEST_F(ChannelSubscriber, ManyChannelsFitAndAHintSparesTheLookAtTheOthers) {
  Reader reader(process_);
  for (int i = 0; i < 5000; ++i) reader.subscribe("c" + std::to_string(i));
  EXPECT_EQ(reader.read(), Texts{});
  publish("c4711", "x");
  EXPECT_EQ(reader.read(), Texts{"c4711:x"});
  EXPECT_LT(bytes_used(), 5000u * 400) << "a silent channel costs its record, not a ring";
}

// Another Process is another context, which may hold a lock while this thread goes on.
class LockedSubscriber : public ChannelTest {
 protected:
  std::unique_ptr<ShardLock> lock(const std::string& channel) {
    const uint32_t shard = name_of(segment(), ChannelKind::kChannel, channel).shard;
    return std::make_unique<ShardLock>(*holder_, *holder_->context().value(), shard, kLockBudgetNs);
  }
  bool all_open() {
    for (uint32_t shard = 0; shard < segment().shard_count(); ++shard) {
      if (segment().shard(shard).owner.load() != 0) return false;
    }
    return true;
  }
  void TearDown() override {
    holder_.reset();
    ChannelTest::TearDown();
  }
  std::shared_ptr<Process> holder_;
  void SetUp() override {
    ChannelTest::SetUp();
    holder_ = attach();
  }
};

TEST_F(LockedSubscriber, WhatIsClosedBehindALockThatIsHeldGoesWhenTheLockFalls) {
  Reader reader(process_), dropping(process_);
  reader.subscribe("room").subscribe("other");
  dropping.subscribe("room");
  {
    const auto held = lock("room");
    reader->close();
    dropping->drop(ChannelKind::kChannel, "room");
    EXPECT_EQ(dropping.read(), Texts{});
    const Segment& seen = holder_->segment();  // as it is locked: the thread sanitizer knows nothing of two mappings
    EXPECT_NE(find(seen, name_of(seen, ChannelKind::kChannel, "room"))->subscribers.load(), 0u);
  }
  EXPECT_TRUE(eventually([&] { return channel_count() == 0 && all_open(); }));
}

// A reader whose ring moved has to look again, and that needs the lock while somebody is in the midst of a change.
TEST_F(LockedSubscriber, WhoMayNotWaitDoesNotWaitForAThreadThatDoes) {
  Reader reader(process_);
  reader.subscribe("room");
  auto held = lock("other");
  std::thread waits([&] { reader.subscribe("other"); });
  const auto in_use = [](const Status& status) {
    return status.code() == Code::kBusy && std::string_view(status.text()).find("another thread") != Bytes::npos;
  };
  EXPECT_TRUE(eventually([&] {
    size_t given = 0;
    return in_use(reader->read(
        1, [](void*, const Delivery&) {}, nullptr, given, kLoopLockBudgetNs));
  }));
  bool yes = false;
  EXPECT_TRUE(in_use(reader->readable(yes, kLoopLockBudgetNs)));
  EXPECT_TRUE(in_use(reader->subscribe(ChannelKind::kChannel, "a", {}, kLoopLockBudgetNs, yes)));
  EXPECT_TRUE(in_use(reader->unsubscribe(ChannelKind::kChannel, "room", kLoopLockBudgetNs, yes)));
  held.reset();
  waits.join();
  publish("other", "x");
  EXPECT_EQ(reader.read(), Texts{"other:x"});
}

TEST_F(LockedSubscriber, AReaderBehindALockThatIsHeldLosesNothing) {
  Reader reader(process_);
  reader.subscribe("room").subscribe("other");
  publish("room", "makes the ring");
  EXPECT_EQ(reader.read(), Texts{"room:makes the ring"});
  publish("other", "first");
  publish("room", std::string(20'000, 'x'));  // the ring grows: it moved
  Texts all;
  const auto read_some = [&](int64_t budget_ns) {
    size_t given = 0;
    return reader->read(
        1, [](void* with, const Delivery& delivery) { static_cast<Texts*>(with)->push_back(told(delivery)); }, &all,
        given, budget_ns);
  };
  {
    const auto held = lock("room");
    auto& sequence = segment().control_shard(name_of(segment(), ChannelKind::kChannel, "room").shard).sequence;
    sequence.fetch_add(1);
    EXPECT_EQ(read_some(kLoopLockBudgetNs).code(), Code::kBusy);
    bool something = false;  // what the other channel has, or nobody knows
    EXPECT_TRUE(reader->readable(something, kLoopLockBudgetNs).code() == Code::kBusy || something);
    sequence.fetch_add(1);
  }
  while (all.size() < 2) ASSERT_TRUE(read_some(kLoopLockBudgetNs).ok());
  EXPECT_EQ(all[0], "other:first");
  EXPECT_EQ(all[1].size(), std::string("room:").size() + 20'000);
}

// Its subscriptions follow a reader into another thread one by one, as their locks are to be had.
TEST_F(LockedSubscriber, AReaderInAnotherThreadGetsAllOnceTheLockFalls) {
  Reader reader(process_);
  reader.subscribe("room").subscribe("other");
  publish("room", "a");
  publish("other", "b");
  Texts got;
  std::thread([&] {
    size_t given = 0;
    {
      const auto held = lock("room");
      EXPECT_EQ(reader->read(256, nullptr, nullptr, given, kLoopLockBudgetNs).code(), Code::kBusy);
      EXPECT_EQ(reader->read(256, nullptr, nullptr, given, kLoopLockBudgetNs).code(), Code::kBusy);
    }
    got = reader.read();
    publish("room", "c");
    for (const std::string& text : reader.read()) got.push_back(text);
    reader->close();
  }).join();
  EXPECT_EQ(got, (Texts{"room:a", "other:b", "room:c"}));
}

}  // namespace
}  // namespace shoal::channels
