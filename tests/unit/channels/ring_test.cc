// SPDX-License-Identifier: MIT
#include "channels/ring.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "support/single_step.h"

namespace shoal {
namespace {

using Result = RingReader::Result;

// A ring in plain memory: record, epoch and bytes in one block, so that an image of it can be taken and put back.
template <uint32_t capacity>
struct PlainRing {
  struct Memory {
    shm::Ring ring;
    shm::Cell<uint64_t> epoch;
    alignas(64) uint64_t words[capacity / 8];
  };
  std::unique_ptr<Memory> memory = std::make_unique<Memory>();

  PlainRing() {
    std::memset(static_cast<void*>(memory.get()), 0, sizeof(Memory));
    memory->ring.next = 1;
    memory->epoch = 7;
  }
  RingBytes bytes() { return {memory->words, capacity}; }
  RingWriter writer() { return {memory->ring, bytes()}; }
  RingReader reader() { return {memory->ring, bytes(), memory->epoch, 7}; }
  uint64_t publish(const std::string& data) { return writer().publish({}, data, memory->ring.next * 10); }
  std::byte* image() { return reinterpret_cast<std::byte*>(memory.get()); }
};
using SmallRing = PlainRing<256>;

struct Subscriber {
  RingCursor cursor;
  std::vector<std::string> got;
  uint64_t delivered = 0, lost = 0;

  Result step(const RingReader& reader) {
    shm::Message header;
    uint64_t gap = 0;
    const Result result = reader.peek(cursor, header, gap);
    lost += gap;
    if (result != Result::kMessage) return result;
    std::string data(header.data_bytes, 0), name(header.name_bytes, 0);
    if (!reader.copy(cursor, header, name.data(), data.data())) return Result::kLapped;
    RingReader::advance(cursor, header);
    ++delivered;
    got.push_back(name + data);
    return result;
  }
  void drain(const RingReader& reader) {
    for (int i = 0; i < 1000; ++i) {
      const Result result = step(reader);
      if (result == Result::kNothing || result == Result::kMoved) return;
    }
  }
};

// What message s of a test says: its own sequence, over and over, in a length that is its own.
std::string text_of(uint64_t sequence, size_t length) {
  std::string text;
  while (text.size() < length) text += "<" + std::to_string(sequence) + ">";
  text.resize(length);
  return text;
}

TEST(ChannelRing, MessagesArriveInOrderAndWhole) {
  SmallRing ring;
  Subscriber subscriber;
  for (uint64_t s = 1; s <= 100; ++s) {
    EXPECT_EQ(ring.publish(text_of(s, s % 50)), s);
    subscriber.drain(ring.reader());
    ASSERT_EQ(subscriber.got.back(), text_of(s, s % 50));
    ASSERT_EQ(check_ring(ring.memory->ring, ring.bytes()), nullptr);
  }
  EXPECT_EQ(subscriber.delivered, 100u);
  EXPECT_EQ(subscriber.lost, 0u);
}

TEST(ChannelRing, SubscriberThatFellBehindSkipsToOldestAndKnowsHowManyItLost) {
  SmallRing ring;  // holds six messages of 40 bytes
  Subscriber subscriber;
  for (uint64_t s = 1; s <= 20; ++s) ring.publish(text_of(s, 16));
  EXPECT_EQ(subscriber.step(ring.reader()), Result::kLapped);
  EXPECT_EQ(subscriber.lost, 14u);
  subscriber.drain(ring.reader());
  EXPECT_EQ(subscriber.got.front(), text_of(15, 16));
  EXPECT_EQ(subscriber.delivered, 6u);
}

TEST(ChannelRing, SeekFindsWhatIsWholeAndNothingOlder) {
  SmallRing ring;
  for (uint64_t s = 1; s <= 20; ++s) ring.publish(text_of(s, 16));
  const auto at = [&](uint64_t sequence, uint64_t not_before = 0) {
    return ring::seek(ring.memory->ring, ring.bytes(), sequence, not_before).sequence;
  };
  EXPECT_EQ(at(18), 18u);
  EXPECT_EQ(at(15), 15u);
  EXPECT_EQ(at(3), 15u) << "the oldest that is whole";
  EXPECT_EQ(at(21), 21u);
  EXPECT_EQ(at(99), 21u) << "what has not come yet is live";
  EXPECT_EQ(at(15, 180), 18u) << "published at 180";
  EXPECT_EQ(at(15, 1000), 21u);
  EXPECT_EQ(at(15), ring::seek(ring.memory->ring, ring.bytes(), 0).sequence);
}

TEST(ChannelRing, NamesTravelWithTheMessagesOfAPattern) {
  SmallRing ring;
  Subscriber subscriber;
  ring.writer().publish("news.art", "hello", 1);
  ring.writer().publish("news.tv", "", 2);
  subscriber.drain(ring.reader());
  EXPECT_EQ(subscriber.got, (std::vector<std::string>{"news.arthello", "news.tv"}));
}

TEST(ChannelRing, ACopyInALargerBlockKeepsEveryCursor) {
  SmallRing small;
  PlainRing<1024> large;
  Subscriber behind, ahead;
  for (uint64_t s = 1; s <= 9; ++s) small.publish(text_of(s, 16 + s));
  ahead.drain(small.reader());
  const uint64_t lost_before = ahead.lost;
  small.writer().copy_to(large.bytes());
  std::memcpy(static_cast<void*>(&large.memory->ring), &small.memory->ring, sizeof(shm::Ring));
  EXPECT_EQ(check_ring(large.memory->ring, large.bytes()), nullptr);
  for (uint64_t s = 10; s <= 12; ++s) large.publish(text_of(s, 16 + s));
  ahead.drain(large.reader());
  behind.drain(large.reader());
  EXPECT_EQ(ahead.lost, lost_before);
  EXPECT_EQ(ahead.delivered + ahead.lost, 12u);
  EXPECT_EQ(behind.delivered + behind.lost, 12u);
  EXPECT_EQ(behind.got.back(), text_of(12, 28));
  EXPECT_EQ(behind.got.front(), text_of(behind.lost + 1, 16 + behind.lost + 1));
}

TEST(ChannelRing, AReaderWhoseBlockWasFreedIsToldToLookAgain) {
  SmallRing ring;
  Subscriber subscriber;
  ring.publish("one");
  const RingReader reader = ring.reader();
  ring.memory->epoch = 9;
  EXPECT_EQ(subscriber.step(reader), Result::kMoved);
  EXPECT_EQ(subscriber.delivered + subscriber.lost, 0u);
}

// ---- Death after every instruction ----------------------------------------------------------------------------------

// Message `dying` of `length` bytes is published, stopped after every instruction. From each image: every reader,
// wherever it stood, reads only what was published, whole; the next publisher goes on; and nobody misses a message
// without being told.
struct Death {
  uint64_t dying;
  size_t length;
};

class ChannelRingDeath : public ::testing::TestWithParam<Death> {
 protected:
  using Image = test::SingleStep::Image;
  static size_t usual_length(uint64_t sequence) { return sequence * 13 % 60; }

  void SetUp() override {
    for (uint64_t s = 1; s < GetParam().dying; ++s) {
      cursors_.push_back(ring::live(ring_.memory->ring));
      publish(s, usual_length(s));
    }
    cursors_.push_back(ring::live(ring_.memory->ring));
    before_.assign(ring_.image(), ring_.image() + sizeof(SmallRing::Memory));
    test::SingleStep stepper(ring_.image(), sizeof(SmallRing::Memory));
    const std::string text = text_of(GetParam().dying, GetParam().length);
    images_ = stepper.run([&] { ring_.writer().publish({}, text, GetParam().dying * 10); });
    ASSERT_GE(images_.size(), 5u);
    ASSERT_GT(stepper.instructions(), images_.size());
  }
  void publish(uint64_t sequence, size_t length) {
    texts_[sequence] = text_of(sequence, length);
    ASSERT_EQ(ring_.publish(texts_[sequence]), sequence);
  }
  void restore(const Image& image) { std::memcpy(static_cast<void*>(ring_.memory.get()), image.data(), image.size()); }
  void expect_true(const Subscriber& subscriber, uint64_t first) {
    uint64_t sequence = subscriber.cursor.sequence;
    for (auto text = subscriber.got.rbegin(); text != subscriber.got.rend(); ++text) {
      ASSERT_EQ(*text, texts_[--sequence]) << "message " << sequence;
    }
    ASSERT_EQ(subscriber.delivered + subscriber.lost, subscriber.cursor.sequence - first);
  }

  SmallRing ring_;
  std::vector<RingCursor> cursors_;
  std::map<uint64_t, std::string> texts_;
  Image before_;
  std::vector<Image> images_;
};

TEST_P(ChannelRingDeath, LeavesARingThatTheNextPublisherAndEveryReaderCanUse) {
  for (size_t next_length : {size_t{0}, size_t{30}, size_t{100}}) {
    for (const Image& image : images_) {
      restore(image);
      ASSERT_EQ(check_ring(ring_.memory->ring, ring_.bytes()), nullptr);
      texts_[GetParam().dying] = text_of(GetParam().dying, GetParam().length);
      for (const RingCursor& cursor : cursors_) {
        Subscriber subscriber{cursor, {}};
        subscriber.drain(ring_.reader());
        expect_true(subscriber, cursor.sequence);
        ASSERT_EQ(subscriber.cursor.sequence, ring_.memory->ring.next.load());
      }
      for (int more = 0; more < 2; ++more) publish(ring_.memory->ring.next, next_length);
      ASSERT_EQ(check_ring(ring_.memory->ring, ring_.bytes()), nullptr);
      for (const RingCursor& cursor : cursors_) {
        Subscriber subscriber{cursor, {}};
        subscriber.drain(ring_.reader());
        expect_true(subscriber, cursor.sequence);
        ASSERT_EQ(subscriber.cursor.sequence, ring_.memory->ring.next.load());
      }
    }
  }
}

// The reader looks at the header in one image and copies in a later one; and copies what a dead publisher left while a
// smaller message takes its place.
TEST_P(ChannelRingDeath, NeverGivesAReaderTornBytesAtWhateverInstructionItLooks) {
  texts_[GetParam().dying] = text_of(GetParam().dying, GetParam().length);
  images_.insert(images_.begin(), before_);
  const size_t stepped = images_.size();
  restore(images_[stepped - 2]);  // died just before it was published
  if (ring_.memory->ring.next == GetParam().dying) {
    ring_.publish("");
    images_.emplace_back(ring_.image(), ring_.image() + sizeof(SmallRing::Memory));
  }
  uint64_t torn = 0;
  for (size_t seen = 0; seen < images_.size(); ++seen) {
    for (size_t copied = seen; copied < images_.size(); ++copied) {
      if (copied == stepped && seen >= stepped - 1) continue;  // there the dying message was published as another one
      for (RingCursor cursor : cursors_) {
        restore(images_[seen]);
        shm::Message header;
        uint64_t lost = 0;
        if (ring_.reader().peek(cursor, header, lost) != Result::kMessage) continue;
        restore(images_[copied]);
        std::string data(header.data_bytes, 0);
        if (!ring_.reader().copy(cursor, header, nullptr, data.data())) {
          ++torn;
          continue;
        }
        ASSERT_EQ(data, texts_[header.sequence]) << "seen at " << seen << ", copied at " << copied;
      }
    }
  }
  restore(before_);
  const uint64_t oldest = ring_.memory->ring.oldest;
  restore(images_[stepped - 1]);
  if (ring_.memory->ring.oldest != oldest) {
    EXPECT_GT(torn, 0u) << "no copy was ever overtaken: the test looks at nothing";
  }
}

INSTANTIATE_TEST_SUITE_P(AtEveryInstruction, ChannelRingDeath,
                         ::testing::Values(Death{1, 10}, Death{2, 0}, Death{5, 104}, Death{13, 0}, Death{14, 33},
                                           Death{15, 104}, Death{16, 80}, Death{17, 64}, Death{18, 1}),
                         [](const auto& info) {
                           return "Message" + std::to_string(info.param.dying) + "Of" +
                                  std::to_string(info.param.length);
                         });

// ---- Real concurrency -----------------------------------------------------------------------------------------------

TEST(ChannelRing, ReadersBesideAFastPublisherCountEveryMessageOnce) {
  PlainRing<4096> ring;
  constexpr uint64_t kMessages = 200'000;
  std::atomic<bool> done{false};
  std::vector<Subscriber> subscribers(2);
  std::vector<std::thread> threads;
  std::atomic<uint64_t> wrong{0};
  for (Subscriber& subscriber : subscribers) {
    threads.emplace_back([&] {
      for (bool last = false; !last;) {
        last = done.load();
        while (subscriber.step(ring.reader()) != Result::kNothing ||
               subscriber.cursor.sequence != ring.memory->ring.next) {
          for (const std::string& text : subscriber.got) {
            wrong += text != text_of(subscriber.cursor.sequence - 1, (subscriber.cursor.sequence - 1) % 100);
          }
          subscriber.got.clear();
        }
      }
    });
  }
  for (uint64_t s = 1; s <= kMessages; ++s) ring.publish(text_of(s, s % 100));
  done = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0u);
  for (const Subscriber& subscriber : subscribers) {
    EXPECT_EQ(subscriber.delivered + subscriber.lost, kMessages);
    EXPECT_GT(subscriber.delivered, 0u);
  }
}

}  // namespace
}  // namespace shoal
