// SPDX-License-Identifier: MIT
// Messages that leave with a commit: all of them, once, in order, whoever dies, and never for lack of memory.
#include "channels/outbox.h"

#include <future>

#include "support/channel_fixture.h"

namespace shoal::channels {
namespace {

class ChannelOutbox : public ChannelTest {
 protected:
  void post_all(const Texts& texts, bool commit = true) {
    Transaction tx(*process_, self());
    ASSERT_TRUE(tx.begin(outbox_shards(segment(), "room"), kLockBudgetNs).ok());
    for (const std::string& text : texts) {
      uint64_t receivers = 0;
      ASSERT_TRUE(post(tx, "room", text, receivers).ok());
      EXPECT_EQ(receivers, 2u);
    }
    if (commit) {
      ASSERT_TRUE(tx.commit().ok());
    }
  }
  const Texts expected_{"room:a", "r*>room:a", "room:b", "r*>room:b"};
};

TEST_F(ChannelOutbox, MessagesOfATransactionLeaveAfterItsCommitInOrder) {
  Reader reader(process_);
  reader.subscribe("room").psubscribe("r*");
  post_all({"a", "b"});
  EXPECT_EQ(reader.read(), Texts{}) << "not before they are flushed";
  ASSERT_TRUE(flush(*process_, self(), self(), kLockBudgetNs).ok());
  EXPECT_EQ(reader.read(), expected_);
  EXPECT_EQ(self().outbox, 0u);
}

TEST_F(ChannelOutbox, AnUndoneTransactionPublishesNothing) {
  Reader reader(process_);
  reader.subscribe("room").psubscribe("r*");
  post_all({"a", "b"}, false);
  EXPECT_EQ(self().outbox, 0u);
  ASSERT_TRUE(flush(*process_, self(), self(), kLockBudgetNs).ok());
  EXPECT_EQ(reader.read(), Texts{});
}

TEST_F(ChannelOutbox, WhatAKilledProcessHadCommittedIsPublishedByItsRecoverer) {
  Reader reader(process_);
  reader.subscribe("room").psubscribe("r*");
  Child child([&] {
    post_all({"a", "b"});
    ::raise(SIGKILL);
    return 0;
  });
  child.wait();
  EXPECT_EQ(recover_all(*process_, self().id), 1u);
  EXPECT_EQ(reader.read(), expected_);
}

TEST_F(ChannelOutbox, ARecovererWhoHoldsALockLeavesTheOutboxToALaterSweep) {
  Reader reader(process_);
  reader.subscribe("room").psubscribe("r*");
  Child child([&] {
    post_all({"a", "b"});
    ::raise(SIGKILL);
    return 0;
  });
  child.wait();
  {
    ShardLock lock(*process_, self(), 1, kLockBudgetNs);
    recover_all(*process_, self().id);
  }
  EXPECT_EQ(reader.read(), Texts{});
  recover_all(*process_, self().id);
  EXPECT_EQ(reader.read(), expected_);
}

uint64_t journal_pages(const Segment& segment) {
  uint64_t pages = 0;
  const auto end = static_cast<uint32_t>(segment.committed() / kPageBytes);
  for (auto page = static_cast<uint32_t>(segment.extents_offset() / kPageBytes); page < end; ++page)
    pages += shm::page_kind(segment.page(page).owner.load()) == shm::PageKind::kJournal;
  return pages;
}

TEST_F(ChannelOutbox, WhoPublishesForTheDeadBeforeHisOwnFirstWriteLosesNoJournal) {
  Reader reader(process_);
  reader.subscribe("room").psubscribe("r*");
  Child child([&] {
    post_all({"a", "b"});
    Transaction tx(*process_, self());
    if (tx.begin(1, kLockBudgetNs).ok()) ::raise(SIGKILL);
    return 0;
  });
  child.wait();
  const uint64_t before = journal_pages(segment());
  std::thread([&] {
    Transaction tx(*process_, self());
    ASSERT_TRUE(tx.begin(1, kLockBudgetNs).ok());  // meets the dead
    tx.edit(tx.shard(0).log_head) = 1;
    ASSERT_TRUE(tx.commit().ok());
  }).join();
  EXPECT_EQ(reader.read(), expected_);
  EXPECT_LT(journal_pages(segment()), before) << "the dead one's, and none of the thread's is left";
}

// Dead between the steps of outbox.h: laid by hand, for both answers to "was it published?".
TEST_F(ChannelOutbox, WhoPublishesNextSettlesWhatTheDeadLeftUndecided) {
  for (const bool published : {false, true}) {
    SCOPED_TRACE(published);
    Reader reader(process_);
    reader.subscribe("room").psubscribe("r*");
    publish("room", "makes the ring");
    Child child([&] {
      post_all({"a", "b"});
      auto& ring = protocol_words(*channel("room")).ring;
      auto& posting = const_cast<shm::Posting&>(*segment().pointer<shm::Posting>(self().outbox));
      posting.sequence = ring.next.load();
      ring.pending = self().id;
      if (published) {
        RingWriter(ring, ring_bytes(segment(), *channel("room"))).publish({}, "a", 5);
      }
      ::raise(SIGKILL);
      return 0;
    });
    child.wait();
    publish("room", "between");
    recover_all(*process_, self().id);
    Texts got = reader.read(), of_room;
    for (const std::string& text : got) {
      if (text[0] == 'r' && text[1] == 'o') of_room.push_back(text);
    }
    if (published) {
      EXPECT_EQ(of_room, (Texts{"room:makes the ring", "room:a", "room:between", "room:b"}));
    } else {
      EXPECT_EQ(of_room, (Texts{"room:makes the ring", "room:between", "room:a", "room:b"}));
    }
  }
}

// The same a step later: it is done, but its ring still names its owner. Were the posting dropped now, the ring would
// be thought to name the next one.
TEST_F(ChannelOutbox, APostingThatIsDoneIsNotTakenForTheNextOne) {
  for (const bool another_ring : {false, true}) {
    SCOPED_TRACE(another_ring);
    Reader reader(process_);
    reader.subscribe("room").subscribe("other");
    publish("room", "makes the ring");
    Child child([&] {
      Transaction tx(*process_, self());
      uint64_t receivers = 0;
      if (!tx.begin(~uint64_t{0} >> (64 - segment().shard_count()), kLockBudgetNs).ok()) return 1;
      if (!post(tx, "room", "a", receivers).ok()) return 2;
      if (!post(tx, another_ring ? "other" : "room", "b", receivers).ok()) return 3;
      if (!tx.commit().ok()) return 4;
      auto& ring = protocol_words(*channel("room")).ring;
      auto& posting = const_cast<shm::Posting&>(*segment().pointer<shm::Posting>(self().outbox));
      posting.sequence = ring.next.load();
      ring.pending = self().id;
      RingWriter(ring, ring_bytes(segment(), *channel("room"))).publish({}, "a", 5);
      posting.done = 1;
      ::raise(SIGKILL);
      return 0;
    });
    child.wait();
    recover_all(*process_, self().id);
    publish("room", "c");
    EXPECT_EQ(channel("room")->ring.pending.load(), 0u);
    EXPECT_EQ(reader.read(), another_ring ? (Texts{"room:makes the ring", "room:a", "other:b", "room:c"})
                                          : (Texts{"room:makes the ring", "room:a", "room:b", "room:c"}));
  }
}

// The last is published, and nobody is told; the first who recovers the dead one drops it, and dies as well.
TEST_F(ChannelOutbox, WhoRecoversADeadRecoverersDeadTellsEverybody) {
  Reader reader(process_);
  reader.subscribe("room");
  publish("room", "makes the ring");
  EXPECT_EQ(reader.read(), Texts{"room:makes the ring"});
  Shared<uint32_t> dead;
  Child child([&] {
    *dead = self().id;
    Transaction tx(*process_, self());
    uint64_t receivers = 0;
    if (!tx.begin(outbox_shards(segment(), "room"), kLockBudgetNs).ok()) return 1;
    if (!post(tx, "room", "a", receivers).ok() || !tx.commit().ok()) return 2;
    auto& ring = protocol_words(*channel("room")).ring;
    const_cast<shm::Posting&>(*segment().pointer<shm::Posting>(self().outbox)).done = 1;
    RingWriter(ring, ring_bytes(segment(), *channel("room"))).publish({}, "a", 5);
    ::raise(SIGKILL);
    return 0;
  });
  EXPECT_EQ(child.wait(), 128 + SIGKILL);
  shm::Context& owner = segment().control_context(shm::context_index(*dead));
  ASSERT_TRUE(flush(*process_, self(), owner, kLockBudgetNs).ok());
  EXPECT_EQ(reader.read(), Texts{}) << "it has not been told yet";
  EXPECT_EQ(recover_all(*process_, self().id), 1u);
  EXPECT_EQ(reader.read(), Texts{"room:a"});
}

TEST_F(ChannelOutbox, APatternThatCameAfterTheLocksWereChosenGetsTheMessage) {
  Reader reader(attach());
  reader.subscribe("room");
  const uint64_t chosen = outbox_shards(segment(), "room");
  for (int i = 0; i < 8; ++i) reader.psubscribe("r*" + std::string(static_cast<size_t>(i), '*'));  // of several shards
  uint64_t receivers = 0;
  int runs = 0;
  const Status status = transact(*process_, self(), {Purpose::kOutbox}, chosen, kLockBudgetNs, [&](Transaction& tx) {
    ++runs;
    receivers = 0;
    ASSERT_TRUE(post(tx, "room", "x", receivers).ok());
  });
  ASSERT_TRUE(status.ok()) << describe(status);
  EXPECT_EQ(runs, 2);
  EXPECT_EQ(receivers, 9u);
  ASSERT_TRUE(flush(*process_, self(), self(), kLockBudgetNs).ok());
  EXPECT_EQ(reader.read().size(), 9u);
}

TEST_F(ChannelOutbox, APublishGoesAfterWhatATransactionOfItsThreadLeft) {
  Reader reader(process_);
  reader.subscribe("room");
  uint64_t receivers = 0;
  ASSERT_TRUE(transact(*process_, self(), {Purpose::kOutbox}, outbox_shards(segment(), "room"), kLockBudgetNs,
                       [&](Transaction& tx) { ASSERT_TRUE(post(tx, "room", "a", receivers).ok()); })
                  .ok());
  publish("room", "b");
  EXPECT_EQ(reader.read(), (Texts{"room:a", "room:b"}));
}

// ---- In a full segment ----------------------------------------------------------------------------------------------

class FullSegment : public ChannelOutbox {
 protected:
  // Takes every page, and what is left of those that hold blocks as large as the smallest ring.
  void fill() {
    for (const uint64_t bytes : {uint64_t{kBlockMax}, uint64_t{kRingBytesMin}}) {
      for (uint32_t shard = 0; shard < segment().shard_count(); ++shard) {
        while (take(shard, bytes)) {
        }
      }
    }
  }
  bool take(uint32_t shard, uint64_t bytes) {
    uint64_t block = 0;
    const Status status =
        transact(*process_, self(), {Purpose::kOutbox}, uint64_t{1} << shard, kLockBudgetNs, [&](Transaction& tx) {
          if (const auto* fresh = tx.create<uint64_t>(bytes)) block = tx.offset_of(fresh);
        });
    if (status.ok()) taken_.emplace_back(shard, block);
    return status.ok();
  }
  void TearDown() override {
    for (const auto& [shard, block] : taken_) {
      const uint64_t offset = block;
      EXPECT_TRUE(
          transact(*process_, self(), {Purpose::kOutbox}, uint64_t{1} << shard, kLockBudgetNs, [&](Transaction& tx) {
            tx.free(offset);
          }).ok());
    }
    ChannelOutbox::TearDown();
  }
  Status commit_post(const std::string& name, const std::string& text) {
    return transact(*process_, self(), {Purpose::kOutbox}, outbox_shards(segment(), name), kLockBudgetNs,
                    [&](Transaction& tx) {
                      uint64_t receivers = 0;
                      ASSERT_TRUE(post(tx, name, text, receivers).ok());
                    });
  }

  std::vector<std::pair<uint32_t, uint64_t>> taken_;
};

TEST_F(FullSegment, FailsATransactionWhoseMessageFindsNoRoomAndDropsNone) {
  Reader reader(process_);
  reader.subscribe("silent").subscribe("small");
  publish("small", "makes the ring");
  fill();
  EXPECT_EQ(commit_post("silent", "x").code(), Code::kFull) << "needs its ring";
  EXPECT_EQ(commit_post("small", std::string(3000, 'x')).code(), Code::kFull) << "needs a larger ring";
  EXPECT_EQ(self().outbox, 0u);
  ASSERT_TRUE(flush(*process_, self(), self(), kLockBudgetNs).ok());
  EXPECT_EQ(reader.read(), Texts{"small:makes the ring"});
  EXPECT_EQ(channel("silent")->ring.next.load(), 1u);
}

TEST_F(FullSegment, TakesTheRoomOfAMessageBeforeTheCommitNotAfterIt) {
  Reader reader(process_);
  reader.subscribe("silent");
  ASSERT_TRUE(commit_post("silent", "x").ok());
  EXPECT_EQ(reader.read(), Texts{});
  fill();
  ASSERT_TRUE(flush(*process_, self(), self(), kLockBudgetNs).ok());
  EXPECT_EQ(reader.read(), Texts{"silent:x"});
}

TEST_F(FullSegment, RefusesAPublishThatOneOfItsRingsHasNoRoomForBeforeAnyGotIt) {
  Reader reader(process_);
  reader.subscribe("room");
  publish("room", "makes the ring");
  reader.psubscribe("room*");
  fill();
  Published published;
  EXPECT_EQ(channels::publish(*process_, self(), "room", "x", kLockBudgetNs, published).code(), Code::kFull);
  EXPECT_EQ(reader.read(), Texts{"room:makes the ring"});
}

// The lock that guards this thread's outbox is held by somebody who goes on only after two seconds, so that a flush
// that waited would find the way free.
class StuckOutbox : public ChannelOutbox {
 protected:
  void SetUp() override {
    ChannelOutbox::SetUp();
    while (shard_of_outbox() == 0) others_.push_back(std::exchange(process_, attach()));  // 0: posting needs it
    holder_ = attach();
    while (name_of(segment(), ChannelKind::kChannel, room_).shard == shard_of_outbox()) room_ += "m";
    while (name_of(segment(), ChannelKind::kPattern, pattern_).shard == shard_of_outbox()) pattern_ += "*";
  }
  void TearDown() override {
    holder_.reset();
    others_.clear();
    ChannelOutbox::TearDown();
  }
  uint32_t shard_of_outbox() {
    return static_cast<uint32_t>(&self() - &segment().context(0)) % segment().shard_count();
  }
  // Runs `act` while the lock is held.
  void behind_the_lock(uint32_t shard, const std::function<void()>& act) {
    std::promise<void> locked, done;
    std::thread holding([&] {
      ShardLock lock(*holder_, *holder_->context().value(), shard, kLockBudgetNs);
      locked.set_value();
      done.get_future().wait_for(std::chrono::seconds(2));
    });
    locked.get_future().wait();
    act();
    done.set_value();
    holding.join();
  }
  std::string room_ = "room", pattern_ = "r*";
  std::vector<std::shared_ptr<Process>> others_;
  std::shared_ptr<Process> holder_;
};

TEST_F(StuckOutbox, AnEventLoopLeavesWhatItPublishedForLater) {
  Reader reader(process_);
  reader.subscribe(room_).psubscribe(pattern_);
  Published published;
  behind_the_lock(shard_of_outbox(), [&] {
    ASSERT_TRUE(channels::publish(*process_, self(), room_, "a", kLoopLockBudgetNs, published).ok());
    EXPECT_TRUE(has_outbox(self())) << "it waited";
    EXPECT_EQ(published.receivers, 2u);
    Published next;
    EXPECT_EQ(channels::publish(*process_, self(), room_, "b", kLoopLockBudgetNs, next).code(), Code::kBusy)
        << "it must not overtake";
  });
  ASSERT_TRUE(flush(*process_, self(), self(), kLoopLockBudgetNs, &published).ok());
  EXPECT_EQ(published.sequence, 1u);
  EXPECT_EQ(reader.read(), (Texts{room_ + ":a", pattern_ + ">" + room_ + ":a"}));
}

TEST_F(StuckOutbox, WhoMeetsADeadPublisherDoesNotWaitForTheLockOfAnother) {
  Reader reader(process_);
  reader.subscribe("room").psubscribe("r*");
  uint32_t of_the_dead = 0;
  Child child([&] {
    post_all({"a"});
    ::raise(SIGKILL);
    return 0;
  });
  child.wait();
  for (uint32_t index = 0; index < segment().header().context_high.load(); ++index) {
    if (has_outbox(segment().context(index))) of_the_dead = index % segment().shard_count();
  }
  behind_the_lock(of_the_dead, [&] {
    recover_all(*process_, self().id);
    EXPECT_EQ(reader.read(), Texts{}) << "it waited";
  });
  recover_all(*process_, self().id);
  EXPECT_EQ(reader.read(), (Texts{"room:a", "r*>room:a"}));
}

TEST_F(StuckOutbox, WhatAThreadCouldNotPublishBeforeItEndedIsPublishedByItsRecoverer) {
  Reader reader(process_);
  reader.subscribe("room").psubscribe("r*");
  std::thread([&] { post_all({"a", "b"}); }).join();
  EXPECT_EQ(recover_all(*process_, self().id), 1u);
  EXPECT_EQ(reader.read(), expected_);
}

}  // namespace
}  // namespace shoal::channels
