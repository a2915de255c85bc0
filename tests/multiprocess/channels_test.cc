// SPDX-License-Identifier: MIT
// Publishers and subscribers that are killed at any moment: delivered + lost == published, whole messages, each
// publisher's order, and transactions whose messages come all or not at all, once.
#include <poll.h>

#include <algorithm>
#include <map>
#include <random>

#include "base/clock.h"
#include "process/wake.h"
#include "support/channel_fixture.h"

namespace shoal::channels {
namespace {

class KilledChannels : public ChannelTest {
 protected:
  KilledChannels() {
    const uint64_t seed = static_cast<uint64_t>(monotonic_ns());
    RecordProperty("seed", std::to_string(seed));
    std::printf("seed %lu\n", static_cast<unsigned long>(seed));
    random_.seed(seed);
  }
  uint64_t random(uint64_t below) { return std::uniform_int_distribution<uint64_t>(0, below - 1)(random_); }
  // A while in which others run; not a synchronisation, only a point in time to kill at.
  void spin(int64_t ns) {
    for (const int64_t end = monotonic_ns() + ns; monotonic_ns() < end;) std::this_thread::yield();
  }

  std::mt19937_64 random_;
};

// "publisher number filler", the filler a function of both: a torn message cannot look like one.
std::string speech(uint32_t publisher, uint64_t number) {
  std::string text = std::to_string(publisher) + " " + std::to_string(number) + " ";
  const size_t length = (number * 2654435761u + publisher) % 700;
  while (text.size() < length) text += static_cast<char>('a' + (number + text.size()) % 26);
  return text;
}

struct Heard {
  std::map<std::string, uint64_t> lost;  // by source
  std::map<std::string, uint64_t> delivered;
  std::map<uint32_t, int64_t> last;  // number, by publisher: over all channels
  std::string wrong;

  static void listen(void* with, const Delivery& delivery) {
    auto& heard = *static_cast<Heard*>(with);
    const std::string source = (delivery.pattern ? "p:" : "c:") + std::string(delivery.source);
    if (delivery.kind == Delivery::Kind::kGap) {
      if (!delivery.lost) heard.wrong += "a gap of unknown size in " + source + "; ";
      heard.lost[source] += delivery.lost.value_or(0);
      return;
    }
    ++heard.delivered[source];
    unsigned publisher = 0;
    unsigned long number = 0;
    const std::string text(delivery.data);
    if (std::sscanf(text.c_str(), "%u %lu", &publisher, &number) != 2 || text != speech(publisher, number)) {
      heard.wrong += "torn: " + text + "; ";
      return;
    }
    auto [last, fresh] = heard.last.try_emplace(publisher, -1);
    if (static_cast<int64_t>(number) < last->second) heard.wrong += "out of order: " + text + "; ";
    last->second = static_cast<int64_t>(number);
  }
};

TEST_F(KilledChannels, EveryMessageOfKilledPublishersIsDeliveredOrCountedAsLost) {
  Reader reader(process_);
  reader.subscribe("one").subscribe("two").subscribe("three").psubscribe("t*");
  Heard heard;
  uint32_t next_publisher = 0;
  const auto start_publisher = [&] {
    const uint32_t me = next_publisher++;
    return std::make_unique<Child>([this, me] {
      auto mine = attach();
      shm::Context& context = *mine->context().value();
      for (uint64_t number = 0;; ++number) {
        static const char* const kNames[] = {"one", "two", "three"};
        Published published;
        const Status status =
            channels::publish(*mine, context, kNames[number % 3], speech(me, number), kLockBudgetNs, published);
        if (!status.ok() || published.receivers < 1) return 1;
      }
    });
  };
  const auto read_some = [&] {
    size_t given = 0;
    ASSERT_TRUE(reader->read(500, &Heard::listen, &heard, given).ok());
  };
  std::vector<std::unique_ptr<Child>> publishers;
  publishers.push_back(start_publisher());
  publishers.push_back(start_publisher());
  for (int kill = 0; kill < 30; ++kill) {
    const int64_t until = monotonic_ns() + static_cast<int64_t>(random(6'000'000));
    do {
      read_some();
    } while (monotonic_ns() < until);
    auto& victim = publishers[random(2)];
    victim->kill();
    if (random(2) == 0) recover_all(*process_, self().id);  // else whoever meets its lock does
    if (kill % 8 == 7) process_->reap_dead_slots();
    victim = start_publisher();
  }
  publishers.clear();
  recover_all(*process_, self().id);
  process_->reap_dead_slots();
  for (size_t given = 1; given > 0;) {
    ASSERT_TRUE(reader->read(500, &Heard::listen, &heard, given).ok());
  }
  EXPECT_EQ(heard.wrong, "");
  uint64_t all = 0;
  for (const std::string source : {"c:one", "c:two", "c:three", "p:t*"}) {
    const auto kind = source[0] == 'p' ? ChannelKind::kPattern : ChannelKind::kChannel;
    const shm::Channel* channel = find(segment(), name_of(segment(), kind, source.substr(2)));
    ASSERT_NE(channel, nullptr);
    EXPECT_EQ(heard.delivered[source] + heard.lost[source], channel->ring.next.load() - 1) << source;
    EXPECT_GT(heard.delivered[source], 0u) << source;
    all += heard.delivered[source];
  }
  const auto published = [&](ChannelKind kind, Bytes name) {
    return find(segment(), name_of(segment(), kind, name))->ring.next.load() - 1;
  };
  EXPECT_EQ(published(ChannelKind::kPattern, "t*"),
            published(ChannelKind::kChannel, "two") + published(ChannelKind::kChannel, "three"))
      << "a message came to a channel and not to the pattern that matches, or the other way round";
  std::printf("%lu delivered\n", static_cast<unsigned long>(all));
}

TEST_F(KilledChannels, KilledSubscribersDelayNobodyAndLeaveNothingBehind) {
  std::vector<std::unique_ptr<Child>> subscribers;
  const auto start_subscriber = [&] {
    return std::make_unique<Child>([this] {
      auto mine = attach();
      Reader reader(mine);
      for (int i = 0;; ++i) {
        reader.subscribe("room").subscribe("own" + std::to_string(i % 7));
        bool something = false;
        (void)reader->wait(200'000, something);
        reader.read(100);
        if (i % 3 == 2) reader->close();
      }
      return 0;
    });
  };
  for (int i = 0; i < 3; ++i) subscribers.push_back(start_subscriber());
  for (int kill = 0; kill < 30; ++kill) {
    const int64_t until = monotonic_ns() + static_cast<int64_t>(random(4'000'000));
    do {
      publish("room", "hello");
      publish("own" + std::to_string(random(7)), "hello");
    } while (monotonic_ns() < until);
    auto& victim = subscribers[random(3)];
    victim->kill();
    if (kill % 8 == 7) process_->reap_dead_slots();
    victim = start_subscriber();
  }
  subscribers.clear();
  while (process_->reap_dead_slots() > 0) {
  }
  recover_all(*process_, self().id);
  remove_all_stale(*process_, self());
  EXPECT_EQ(channel_count(), 0u);
}

TEST_F(KilledChannels, MessagesOfATransactionComeAllOrNotAtAllAndOnce) {
  Reader reader(process_);
  reader.subscribe("room").psubscribe("ro*");
  std::map<std::string, std::vector<std::string>> heard;  // by child and kind of source
  const auto read_all = [&] {
    for (const std::string& text : reader.read()) {
      ASSERT_EQ(text.find('!'), std::string::npos) << "lost: the test publishes too fast for its ring";
      const bool pattern = text.starts_with("ro*>");
      const std::string data = text.substr(pattern ? 9 : 5);
      heard[(pattern ? "p" : "c") + data.substr(0, data.find(' '))].push_back(data.substr(data.find(' ') + 1));
    }
  };
  for (int kill = 0; kill < 40; ++kill) {
    Signal ready;
    Shared<std::atomic<uint64_t>> heard_up_to;  // not further ahead than the ring holds
    Child child([&] {
      auto mine = attach();
      shm::Context& context = *mine->context().value();
      ready.send();
      for (uint64_t number = 0;; ++number) {
        while (number > heard_up_to->load() + 200) std::this_thread::yield();
        Transaction tx(*mine, context);
        if (!tx.begin(outbox_shards(mine->segment(), "room"), kLockBudgetNs).ok()) return 1;
        for (const char* part : {"a", "b", "c"}) {
          uint64_t receivers = 0;
          const std::string text = std::to_string(kill) + " " + std::to_string(number) + part;
          if (!post(tx, "room", text, receivers).ok()) return 2;
        }
        if (!tx.commit().ok()) {
          --number;
          if (!mine->segment().grow(kPageBytes).ok()) return 3;
          continue;
        }
        if (!flush(*mine, context, context, kLockBudgetNs).ok()) return 4;
      }
    });
    ready.receive();
    const int64_t until = monotonic_ns() + static_cast<int64_t>(random(3'000'000));
    do {
      read_all();
      *heard_up_to = heard["c" + std::to_string(kill)].size() / 3;
    } while (monotonic_ns() < until);
    child.kill();
    recover_all(*process_, self().id);
    process_->reap_dead_slots();
    read_all();
  }
  uint64_t transactions = 0;
  for (const auto& [who, parts] : heard) {
    ASSERT_EQ(parts.size() % 3, 0u) << who << ": a part of a transaction is missing";
    for (size_t i = 0; i < parts.size(); ++i) {
      const std::string expected = std::to_string(i / 3) + "abc"[i % 3];
      ASSERT_EQ(parts[i], expected) << who;
    }
    transactions += parts.size() / 3;
  }
  for (int kill = 0; kill < 40; ++kill) {
    EXPECT_EQ(heard["c" + std::to_string(kill)].size(), heard["p" + std::to_string(kill)].size());
  }
  EXPECT_GT(transactions, 100u);
  std::printf("%lu transactions\n", static_cast<unsigned long>(transactions));
  process_->reap_dead_slots();
}

TEST_F(KilledChannels, AStoppedSubscriberDelaysNobodyAndIsToldWhatItMissed) {
  constexpr uint64_t kMessages = 20'000;
  Signal subscribed, go_on;
  Child child([&] {
    auto mine = attach();
    Reader reader(mine);
    reader.subscribe("room");
    subscribed.send();
    bool something = false;
    if (!reader->wait(10'000'000'000, something).ok()) return 1;
    (void)go_on.receive();
    uint64_t seen = 0;
    for (const std::string& text : reader.read()) seen += text[4] == '!' ? std::stoull(text.substr(5)) : 1;
    return seen == kMessages ? 0 : 2;
  });
  subscribed.receive();
  ASSERT_EQ(::kill(child.pid(), SIGSTOP), 0);
  Reader reader(process_);
  reader.subscribe("room");
  uint64_t seen = 0;
  for (uint64_t number = 0; number < kMessages; ++number) {
    EXPECT_EQ(publish("room", std::string(1000, 'x')).receivers, 2u);
    if (number % 100 == 99) seen += reader.read().size();
  }
  EXPECT_EQ(seen, kMessages);
  ASSERT_EQ(::kill(child.pid(), SIGCONT), 0);
  go_on.send();
  EXPECT_EQ(child.wait(), 0);
  process_->reap_dead_slots();
  recover_all(*process_, self().id);
  remove_all_stale(*process_, self());
}

// A publisher wakes four; the others hear of it from them. Event loops sleep without a time-out: a wake that is lost is
// lost for ever.
TEST_F(KilledChannels, ManySleepersAreAllWokenThoughSomeWhoShouldPassTheWakeOnAreKilled) {
  constexpr size_t kSleepers = 14;
  struct Board {
    std::atomic<int64_t> heard[kSleepers];
  };
  Shared<Board> board;
  const auto listen = [&](size_t me) {
    auto mine = attach();
    Reader reader(mine);
    reader.subscribe("room");
    auto loop = LoopWaker::create(*mine);
    if (!loop.ok()) return 1;
    board->heard[me] = 0;
    for (;;) {
      loop.value()->arm();
      bool something = false;
      if (!reader->readable(something).ok()) return 2;
      pollfd readable{loop.value()->fd(), POLLIN, 0};
      if (!something) ::poll(&readable, 1, -1);
      loop.value()->disarm(*mine);
      for (const std::string& text : reader.read()) board->heard[me] = std::stoll(text.substr(5));
    }
  };
  std::vector<std::unique_ptr<Child>> children(kSleepers);
  const auto start = [&](size_t me) {
    board->heard[me] = -1;
    children[me] = std::make_unique<Child>([&] { return listen(me); });
  };
  const auto all_heard = [&](int64_t number) {
    return std::all_of(board->heard, board->heard + kSleepers, [&](auto& heard) { return heard.load() >= number; });
  };
  const int64_t deadline = monotonic_ns() + 50'000'000'000;
  for (size_t i = 0; i < kSleepers; ++i) start(i);
  while (!all_heard(0) && monotonic_ns() < deadline) std::this_thread::yield();
  for (int64_t number = 1; number <= 120; ++number) {
    publish("room", std::to_string(number));
    if (number % 2 == 0) {
      const size_t victim = random(kSleepers);
      spin(static_cast<int64_t>(random(200'000)));
      children[victim]->kill();
      recover_all(*process_, self().id);
      process_->reap_dead_slots();
      start(victim);
      while (board->heard[victim] < 0 && monotonic_ns() < deadline) std::this_thread::yield();
      board->heard[victim] = number;
    }
    while (!all_heard(number) && monotonic_ns() < deadline) std::this_thread::yield();
    ASSERT_TRUE(all_heard(number)) << "message " << number << " woke not all";
  }
  children.clear();
  recover_all(*process_, self().id);
  while (process_->reap_dead_slots() > 0) {
  }
  remove_all_stale(*process_, self());
}

}  // namespace
}  // namespace shoal::channels
