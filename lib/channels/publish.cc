// SPDX-License-Identifier: MIT
#include "channels/publish.h"

#include <algorithm>

#include "base/clock.h"
#include "channels/outbox.h"
#include "channels/patterns.h"
#include "process/give_way.h"
#include "process/relay.h"
#include "transaction/owner_lock.h"

namespace shoal::channels {

namespace {

constexpr uint64_t kRingHoldNs =
    1'000'000'000;  // a ring below its limit grows rather than drop a message younger than this
constexpr uint64_t kRetryGrowthNs = 1'000'000'000;

// Rises strictly within a thread, so the order of its messages shows in them, whatever rings they went to.
uint64_t message_time() noexcept {
  thread_local uint64_t last = 0;
  last = std::max(last + 1, static_cast<uint64_t>(monotonic_ns()));
  return last;
}

// ---- Room -----------------------------------------------------------------------------------------------------------

bool promised(const shm::Channel& channel, const shm::Message& message, uint64_t now_ns) noexcept {
  const uint64_t keep = channel.keep, ttl_ms = channel.ttl_ms;
  if (channel.ring.next.load(std::memory_order_relaxed) - message.sequence >= keep) return false;
  return ttl_ms == 0 || message.time_ns + ttl_ms * 1'000'000 > now_ns;
}

struct Room {
  uint32_t capacity = 0;  // the ring should become as large; 0 = stays as it is
  bool must = false;      // the message does not fit otherwise
  bool history_cut = false;
};

Room room_for(const Segment& segment, const shm::Channel& channel, RingBytes bytes, uint64_t size,
              uint64_t now_ns) noexcept {
  const uint32_t limit = ring_bytes_max(segment.header().max_size), capacity = bytes.capacity();
  if (size > capacity / 2) return {ring_bytes_next(capacity, size * 2, limit), true, false};
  if (capacity >= limit && channel.keep.load() == 0) return {};
  const auto dropped = RingWriter(protocol_words(channel).ring, bytes).would_drop(size);
  if (!dropped) return {};
  const bool cut = promised(channel, *dropped, now_ns);
  if (!cut && dropped->time_ns + kRingHoldNs < now_ns) return {};
  if (capacity >= limit || channel.retry_growth_ns.load(std::memory_order_relaxed) > now_ns) return {0, false, cut};
  return {ring_bytes_next(capacity, 0, limit), false, cut};
}

Status grow_ring(Process& process, shm::Context& self, const Name& target, const Room& room,
                 int64_t budget_ns) noexcept {
  const Status status = transact(
      process, self, {Purpose::kGrowRing, false, target.hash}, uint64_t{1} << target.shard, budget_ns,
      [&](Transaction& tx) {
        const shm::Channel* channel = find(tx.segment(), target);
        if (channel == nullptr || ring_bytes(tx.segment(), *channel).capacity() >= room.capacity) return;
        (void)resize_ring(tx, target, *channel, room.capacity);
      },
      room.must ? WhenFull::kMakeRoom : WhenFull::kFail);
  return status;
}

// ---- Those who listen -----------------------------------------------------------------------------------------------

// Sets their bits. The fence: either we see that a listener is asleep, or he sees his bit before he falls asleep; and
// either we find his bit still set, or he reads `next` after he cleared it.
uint64_t give_hints(Segment& segment, const shm::Channel& channel, Sleepers& sleepers) noexcept {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  uint64_t receivers = 0;
  for (uint64_t next = channel.subscribers; next != 0;) {
    const auto& subscription = *segment.pointer<shm::Subscription>(next);
    next = subscription.next;
    const uint32_t id = subscription.context, bit = subscription.bit;
    shm::Context& context = segment.control_context(shm::context_index(id));
    if (context.id.load(std::memory_order_relaxed) != id) continue;
    receivers += subscription.count;
    auto& word = context.ready[bit / 64];
    const uint64_t mask = uint64_t{1} << bit % 64;
    if ((word.load(std::memory_order_relaxed) & mask) == 0) word.fetch_or(mask);
    if ((context.asleep.load() | context.loop_asleep.load()) % 2 != 0) sleepers.add(id);
  }
  return receivers;
}

// ---- One ring -------------------------------------------------------------------------------------------------------

// Under the lock. False: room is needed first.
bool publish_locked(Process& process, shm::Context& self, const Name& target, const Message& message, PublishHook* hook,
                    Sleepers& sleepers, Published& result, Room& room) noexcept {
  Segment& segment = process.segment();
  const shm::Channel* found = find(segment, target);
  if (found == nullptr) return true;
  shm::Channel& channel = protocol_words(*found);
  if (__builtin_expect(channel.ring.pending.load(std::memory_order_relaxed) != 0, 0))
    settle_pending(segment, channel.ring);
  if (hook != nullptr && !hook->wanted()) return true;
  const RingBytes bytes = ring_bytes(segment, channel);
  const uint64_t time_ns = message_time();
  if (room.capacity == 0) {
    room = room_for(segment, channel, bytes, shm::message_bytes(message.channel.size(), message.data.size()), time_ns);
    if (room.capacity != 0) return false;
  } else if (bytes.capacity() >= room.capacity) {
    room.history_cut = false;
  } else {  // growing failed
    if (room.must) return true;
    channel.retry_growth_ns.store(time_ns + kRetryGrowthNs, std::memory_order_relaxed);
  }
  if (hook != nullptr) hook->before(channel.ring);
  if (self.outbox == 0) self.outbox = kHintsOwed;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  const uint64_t sequence = RingWriter(channel.ring, bytes).publish(message.channel, message.data, time_ns);
  if (room.history_cut) {
    channel.dropped_early.store(channel.dropped_early.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    result.history_cut = true;
  }
  if (hook != nullptr) hook->after(channel.ring);
  if (target.kind == ChannelKind::kChannel) {
    result.incarnation = channel.incarnation;
    result.sequence = sequence;
  }
  result.receivers += give_hints(segment, channel, sleepers);
  return true;
}

}  // namespace

Status publish_to(Process& process, shm::Context& self, const Name& target, const Message& message, int64_t budget_ns,
                  PublishHook* hook, Published& result) noexcept {
  Room room;
  Status growth;
  for (;;) {
    Sleepers sleepers(process.segment());
    bool done;
    {
      ShardLock lock(process, self, target.shard, budget_ns, {Purpose::kPublish, false, target.hash});
      if (!lock.ok()) return lock.status();
      shm::Shard& shard = process.segment().control_shard(target.shard);
      const bool suspected = suspect::deaths(shard) != 0;
      if (__builtin_expect(suspected, 0)) {
        const int64_t now_ms = monotonic_ns() / 1'000'000;
        if (Status s = suspect::admit(shard, self, false, now_ms); !s.ok()) return s;
      }
      done = publish_locked(process, self, target, message, hook, sleepers, result, room);
      if (__builtin_expect(suspected && done, 0)) suspect::survived(shard, self.operation, self.key_hash);
    }
    if (done) {
      const bool woken = sleepers.wake(process);
      if (self.outbox == kHintsOwed) self.outbox = 0;
      if (woken && hook == nullptr) give_way();  // a hook: the first of several rings, or a dead one's
      return room.must ? growth : Status{};
    }
    growth = grow_ring(process, self, target, room, budget_ns);
    if (!growth.ok() && growth.code() != Code::kFull) return growth;
  }
}

Status message_too_large(const Segment& segment) noexcept {
  return {Code::kRedisError, "ERR the message is larger than half of the largest ring of a channel",
          static_cast<int64_t>(message_bytes_max(segment) - sizeof(shm::Message))};
}

Status publish(Process& process, shm::Context& self, Bytes channel, Bytes data, int64_t budget_ns, Published& result) {
  const Segment& segment = process.segment();
  if (channel.size() > kChannelNameBytesMax) return kNameTooLong;
  if (__builtin_expect(has_outbox(self), 0)) {  // what this thread said before goes before
    if (Status s = flush(process, self, self, budget_ns); !s.ok()) return s;
  }
  const Name name = name_of(segment, ChannelKind::kChannel, channel);
  const PatternCache::Matches* patterns = nullptr;
  if (Status s = PatternCache::of_this_thread(process).matches(process, self, channel, budget_ns, patterns); !s.ok())
    return s;
  LookUp found;
  if (Status s = look_up(process, self, name, budget_ns, found); !s.ok()) return s;
  if (found.channel == nullptr && patterns->empty()) return {};
  const uint64_t size = shm::message_bytes(patterns->empty() ? 0 : channel.size(), data.size());
  if (size > message_bytes_max(segment)) return message_too_large(segment);
  if (patterns->empty()) return publish_to(process, self, name, {{}, data}, budget_ns, nullptr, result);
  if (found.channel == nullptr && patterns->size() == 1)
    return publish_to(process, self, *patterns->front(), {channel, data}, budget_ns, nullptr, result);
  return publish_to_all(process, self, name, *patterns, data, budget_ns, result);
}

}  // namespace shoal::channels
