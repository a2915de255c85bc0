// SPDX-License-Identifier: MIT
#include "crash/channel_words.h"

#include <algorithm>
#include <iterator>
#include <sstream>
#include <stdexcept>

#include "types/dict.h"

namespace shoal::crash {

namespace {
constexpr size_t kReadMax = 100;
constexpr size_t kChannelLineHead = 8;  // words of "~channel NAME heard by N keeps N :"
}  // namespace

void ChannelWords::run(const std::string& line) {
  std::istringstream in(line);
  std::string verb, name;
  uint32_t keep = 0, ttl_ms = 0;
  bool flag = false;
  in >> verb;
  channels::Subscriber& subscriber = verb == "second" ? second_ : subscriber_;
  if (verb == "second") in >> verb;
  in >> name >> keep >> ttl_ms;
  Status status;
  if (verb == "keep") {
    status = channels::configure(*process_, name, {keep, ttl_ms}, kLockBudgetNs);
  } else if (verb == "subscribe" || verb == "psubscribe") {
    const auto kind = verb[0] == 'p' ? shm::ChannelKind::kPattern : shm::ChannelKind::kChannel;
    status = subscriber.subscribe(kind, name, {}, kLockBudgetNs, flag);
  } else if (verb == "unsubscribe" || verb == "punsubscribe") {
    const auto kind = verb[0] == 'p' ? shm::ChannelKind::kPattern : shm::ChannelKind::kChannel;
    status = subscriber.unsubscribe(kind, name, kLockBudgetNs, flag);
  } else if (verb == "close") {
    subscriber.close();
  } else if (verb == "read") {
    const auto forget = [](void*, const channels::Delivery&) {};
    size_t given = 0;
    status = subscriber.read(kReadMax, forget, nullptr, given);
  } else if (verb == "wait") {
    status = subscriber.wait(1, flag);
  } else if (verb == "reap") {
    (void)channels::remove_all_stale(*process_, *process_->context().value());
  } else {
    throw std::runtime_error("no such word: " + line);
  }
  if (!status.ok() && status.code() != Code::kFull) throw std::runtime_error(describe(status));
}

namespace {

std::string messages_of(const Segment& segment, const shm::Channel& channel) {
  std::string text;
  const RingBytes bytes = channels::ring_bytes(segment, channel);
  const uint64_t end = ring::live(channel.ring).position;
  for (uint64_t place = channel.ring.oldest.load(); place < end;) {
    const shm::Message message = bytes.header(place);
    std::string data(message.data_bytes, ' ');
    bytes.load(place + sizeof message + round_up(message.name_bytes, 8), data.data(), data.size());
    text += std::to_string(message.sequence) + "=" + data.substr(0, 20) + " ";
    place += shm::message_bytes(message);
  }
  return text;
}

std::vector<std::string> words_of(const std::string& line) {
  std::istringstream in(line);
  return {std::istream_iterator<std::string>(in), {}};
}

// Of one channel's line: the same but for messages at its front, and none of those is in the line of `after`.
bool only_oldest_gone(const std::string& before, const std::string& seen, const std::string& after) {
  const auto was = words_of(before), is = words_of(seen), will = words_of(after);
  if (was.size() < is.size() || is.size() < kChannelLineHead) return false;
  const auto head = static_cast<std::ptrdiff_t>(kChannelLineHead);
  const auto gone = static_cast<std::ptrdiff_t>(was.size() - is.size());
  if (!std::equal(is.begin(), is.begin() + head, was.begin())) return false;
  if (!std::equal(is.begin() + head, is.end(), was.begin() + head + gone, was.end())) return false;
  return std::none_of(was.begin() + head, was.begin() + head + gone, [&](const std::string& message) {
    return std::find(will.begin() + head, will.end(), message) != will.end();
  });
}

}  // namespace

std::vector<std::string> look_at_channels(const Segment& segment, uint32_t shard) {
  std::vector<std::string> lines;
  Dict::for_each(segment, segment.shard(shard).channels, [&](uint64_t item) {
    const auto& channel = *segment.pointer<shm::Channel>(item);
    uint64_t subscribers = 0;  // all dead by now, and not yet reaped
    for (uint64_t next = channel.subscribers; next != 0; next = segment.pointer<shm::Subscription>(next)->next) {
      subscribers += segment.pointer<shm::Subscription>(next)->count;
    }
    lines.push_back((channel.is_pattern() ? "pattern " : "channel ") + std::string(channel.name()) + " heard by " +
                    std::to_string(subscribers) + " keeps " + std::to_string(channel.keep.load()) + " : " +
                    messages_of(segment, channel));
  });
  return lines;
}

size_t untold(const Segment& segment) {
  size_t count = 0;
  for (uint32_t shard = 0; shard < segment.shard_count(); ++shard) {
    Dict::for_each(segment, segment.shard(shard).channels, [&](uint64_t item) {
      for (uint64_t next = segment.pointer<shm::Channel>(item)->subscribers; next != 0;) {
        const auto& subscription = *segment.pointer<shm::Subscription>(next);
        next = subscription.next;
        const shm::Context& context = segment.context(shm::context_index(subscription.context));
        const uint32_t bit = subscription.bit;
        count += (context.ready[bit / 64].load() >> bit % 64 & 1) == 0;
      }
    });
  }
  return count;
}

bool only_oldest_messages_gone(const std::string& before, const std::string& seen, const std::string& after) {
  std::istringstream was(before), is(seen), will(after);
  for (std::string old_line, line, new_line; std::getline(was, old_line);) {
    if (!std::getline(is, line) || !std::getline(will, new_line)) return false;
    if (line != old_line && !(line.starts_with("~channel ") && only_oldest_gone(old_line, line, new_line)))
      return false;
  }
  return is.peek() == EOF && will.peek() == EOF;
}

}  // namespace shoal::crash
