// SPDX-License-Identifier: MIT
// Publishers and subscribers that are killed at any moment: delivered + lost == published, whole messages, each
// publisher's order, and transactions whose messages come all or not at all, once.
#include <map>
#include <random>

#include "base/clock.h"
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

}  // namespace
}  // namespace shoal::channels
