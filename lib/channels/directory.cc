// SPDX-License-Identifier: MIT
#include "channels/directory.h"

#include <algorithm>
#include <cstring>

#include "base/hash.h"
#include "transaction/owner_lock.h"
#include "types/dict.h"

namespace shoal::channels {

namespace {

constexpr uint64_t kKindSeed = 0x9e3779b97f4a7c15u;  // a pattern and a channel of one name lie apart

uint64_t hash_of(const Segment& segment, ChannelKind kind, Bytes text) noexcept {
  return hash_bytes(text, segment.header().hash_seed + (static_cast<uint64_t>(kind) + 17) * kKindSeed);
}

uint64_t item_hash(const Segment& segment, uint64_t item) noexcept {
  const auto& channel = *segment.pointer<shm::Channel>(item);
  return hash_of(segment, static_cast<ChannelKind>(channel.kind.load()), channel.name());
}

// Unlike any other in this segment and, as far as 53 bits go (a position stays a whole number in every language), in
// others.
uint64_t new_incarnation(const Transaction& tx, const Segment& segment, const Name& name) noexcept {
  const uint64_t facts[] = {tx.version(name.shard), name.hash, name.shard};
  uint64_t uuid;
  std::memcpy(&uuid, segment.header().uuid, sizeof uuid);
  return (hash_bytes({reinterpret_cast<const char*>(facts), sizeof facts}, uuid) >> 11) | 1;
}

void link_pattern(Transaction& tx, const shm::Channel& pattern) noexcept {
  const shm::Header& header = tx.segment().header();
  protocol_words(pattern).next_pattern = header.patterns.load();  // fresh memory
  tx.edit(header.patterns) = tx.offset_of(&pattern);
  tx.segment().control_header().pattern_version.fetch_add(1);
}

void unlink_pattern(Transaction& tx, const shm::Channel& pattern) noexcept {
  const uint64_t offset = tx.offset_of(&pattern);
  const shm::Cell<uint64_t>* link = &tx.segment().header().patterns;
  while (link->load() != offset) link = &tx.view<shm::Channel>(link->load()).next_pattern;
  tx.edit(*link) = pattern.next_pattern.load();
  tx.segment().control_header().pattern_version.fetch_add(1);
}

}  // namespace

Name name_of(const Segment& segment, ChannelKind kind, Bytes text) noexcept {
  const uint64_t hash = hash_of(segment, kind, text);
  return {text, kind, hash, segment.shard_of(hash)};
}

const shm::Channel* find(const Segment& segment, const Name& name) noexcept {
  const auto* slot = Dict::find(segment, segment.shard(name.shard).channels, name.hash, [&](uint64_t item) {
    const auto& channel = *segment.pointer<shm::Channel>(item);
    return channel.kind.load() == static_cast<uint32_t>(name.kind) && channel.name() == name.text;
  });
  return slot == nullptr ? nullptr : segment.pointer<shm::Channel>(Dict::item_of(slot->load()));
}

const shm::Channel* find_or_create(Transaction& tx, const Name& name) noexcept {
  if (const shm::Channel* channel = find(tx.segment(), name)) return channel;
  tx.set_home(name.shard);
  auto* channel = tx.create<shm::Channel>(sizeof(shm::Channel) + name.text.size());
  if (channel == nullptr) return nullptr;
  std::memset(static_cast<void*>(channel), 0, sizeof *channel);
  channel->ring.next.store(1, std::memory_order_relaxed);
  channel->incarnation = new_incarnation(tx, tx.segment(), name);
  channel->kind = static_cast<uint32_t>(name.kind);
  channel->name_bytes = static_cast<uint32_t>(name.text.size());
  copy_bytes(static_cast<void*>(channel + 1), name.text);
  Dict::insert(tx, tx.shard(name.shard).channels, name.hash, tx.offset_of(channel), item_hash);
  if (name.kind == ChannelKind::kPattern) link_pattern(tx, *channel);
  return tx.failed() ? nullptr : channel;
}

void release_if_unused(Transaction& tx, const Name& name, const shm::Channel& channel) noexcept {
  if (channel.subscribers.load() != 0 || channel.keep.load() != 0) return;
  tx.set_home(name.shard);
  tx.raise_epoch(name.shard);
  if (name.kind == ChannelKind::kPattern) unlink_pattern(tx, channel);
  Dict::remove(tx, tx.shard(name.shard).channels, name.hash, tx.offset_of(&channel));
  if (const uint64_t block = channel.ring.block) tx.free(shm::Ring::offset_of(block));
  tx.free(tx.offset_of(&channel));
}

void configure(Transaction& tx, const shm::Channel& channel, uint32_t keep, uint64_t ttl_ms) noexcept {
  if (channel.keep.load() != keep) tx.edit(channel.keep) = keep;
  if (channel.ttl_ms.load() != ttl_ms) tx.edit(channel.ttl_ms) = ttl_ms;
}

bool resize_ring(Transaction& tx, const Name& name, const shm::Channel& channel, uint32_t capacity) noexcept {
  tx.set_home(name.shard);
  auto* words = tx.create<uint64_t>(capacity);
  if (words == nullptr) return false;
  const uint64_t old = channel.ring.block;
  if (old != 0) {
    RingWriter(protocol_words(channel).ring, ring_bytes(tx.segment(), channel)).copy_to({words, capacity});
    tx.free(shm::Ring::offset_of(old));
  }
  tx.edit(channel.ring.block) = shm::Ring::pack(tx.offset_of(words), capacity);
  tx.raise_epoch(name.shard);
  return !tx.failed();
}

bool reserve(Transaction& tx, const Name& name, const shm::Channel& channel, uint64_t size) noexcept {
  const uint32_t capacity = ring_bytes(tx.segment(), channel).capacity();
  if (size <= capacity / 2) return true;
  const uint32_t limit = ring_bytes_max(tx.segment().header().max_size);
  return resize_ring(tx, name, channel, ring_bytes_next(capacity, size * 2, limit));
}

RingBytes ring_bytes(const Segment& segment, const shm::Channel& channel) noexcept {
  const uint64_t block = channel.ring.block;
  if (block == 0) return {};
  auto* words = const_cast<uint64_t*>(segment.pointer<uint64_t>(shm::Ring::offset_of(block)));
  return {words, shm::Ring::capacity_of(block)};
}

// ---- Without the lock -----------------------------------------------------------------------------------------------

namespace {

void fill(const Segment& segment, const Name& name, const shm::Channel& channel, uint64_t epoch, uint64_t sequence,
          LookUp& found) noexcept {
  found.channel = &channel;
  found.incarnation = channel.incarnation;
  found.sequence = sequence;
  found.reader = RingReader(channel.ring, ring_bytes(segment, channel), segment.shard(name.shard).reader_epoch, epoch);
}

}  // namespace

bool look_once(const Segment& segment, const Name& name, LookUp& found) noexcept {
  const shm::Shard& shard = segment.shard(name.shard);
  const uint64_t epoch = shard.reader_epoch;
  std::atomic_thread_fence(std::memory_order_acquire);
  const Snapshot snapshot(segment, shard);
  if (!snapshot.open()) return false;
  const auto match = [&](uint64_t offset) {
    if (!segment.contains(offset, sizeof(shm::Channel) + name.text.size())) return false;
    const auto& channel = *segment.pointer<shm::Channel>(offset);
    return channel.kind.load() == static_cast<uint32_t>(name.kind) && channel.name_bytes.load() == name.text.size() &&
           snapshot.equals(offset + sizeof(shm::Channel), name.text.data(), name.text.size());
  };
  const auto [result, item] = Dict::find(snapshot, shard.channels, name.hash, match);
  if (result == Dict::Found::kTorn) return false;
  if (result == Dict::Found::kYes) {
    const auto& channel = *segment.pointer<shm::Channel>(item);
    const uint64_t block = channel.ring.block;
    if (block != 0 && !segment.contains(shm::Ring::offset_of(block), shm::Ring::capacity_of(block))) return false;
    fill(segment, name, channel, epoch, snapshot.sequence(), found);
    if (block != channel.ring.block.load()) return false;
  }
  return snapshot.valid();
}

Status look_up(Process& process, shm::Context& self, const Name& name, int64_t budget_ns, LookUp& found) noexcept {
  const Segment& segment = process.segment();
#if !defined(SHOAL_LOCKED_READS)
  for (uint32_t tries = 0; tries < kReadTriesMax; ++tries) {
    found = {};
    if (look_once(segment, name, found)) return {};
  }
#endif
  found = {};
  ShardLock lock(process, self, name.shard, budget_ns);
  if (!lock.ok()) return lock.status();
  const shm::Shard& shard = segment.shard(name.shard);
  if (const shm::Channel* channel = find(segment, name)) {
    fill(segment, name, *channel, shard.reader_epoch, shard.sequence.load(std::memory_order_relaxed), found);
  }
  return {};
}

// ---- Check ----------------------------------------------------------------------------------------------------------

namespace {

bool in_pattern_list(const Segment& segment, uint64_t item) noexcept {
  for (uint64_t next = segment.header().patterns; next != 0; next = segment.pointer<shm::Channel>(next)->next_pattern) {
    if (next == item) return true;
  }
  return false;
}

const char* check_channel(const Segment& segment, uint32_t shard, uint64_t item) noexcept {
  const auto& channel = *segment.pointer<shm::Channel>(item);
  if (channel.kind.load() > 1) return "channel: unknown kind";
  const Name name = name_of(segment, static_cast<ChannelKind>(channel.kind.load()), channel.name());
  if (name.shard != shard) return "channel: lies in another shard than its name's";
  if (find(segment, name) != &channel) return "channel: is not found by its name";
  if (channel.incarnation.load() == 0) return "channel: has no incarnation";
  if (channel.subscribers.load() == 0 && channel.keep.load() == 0) return "channel: nobody needs it";
  if (channel.is_pattern() != in_pattern_list(segment, item)) return "channel: the list of patterns disagrees";
  const uint64_t block = channel.ring.block;
  if (block != 0 && !segment.contains(shm::Ring::offset_of(block), shm::Ring::capacity_of(block))) {
    return "channel: its ring lies outside of the segment";
  }
  for (uint64_t next = channel.subscribers; next != 0;) {
    const auto& subscription = *segment.pointer<shm::Subscription>(next);
    if (subscription.count.load() == 0) return "subscription: of nobody";
    if (subscription.bit.load() >= shm::kReadyWords * 64) return "subscription: no such bit";
    for (uint64_t other = subscription.next; other != 0; other = segment.pointer<shm::Subscription>(other)->next) {
      if (segment.pointer<shm::Subscription>(other)->context.load() == subscription.context.load()) {
        return "subscription: two of one context";
      }
    }
    next = subscription.next;
  }
  return check_ring(channel.ring, ring_bytes(segment, channel));
}

}  // namespace

const char* check_shard(const Segment& segment, uint32_t shard) noexcept {
  const char* broken = nullptr;
  uint64_t count = 0;
  Dict::for_each(segment, segment.shard(shard).channels, [&](uint64_t item) {
    ++count;
    if (broken == nullptr) broken = check_channel(segment, shard, item);
  });
  if (broken == nullptr && count != segment.shard(shard).channels.count.load()) broken = "channels: miscounted";
  return broken;
}

void for_each_block(const Segment& segment, uint32_t shard, void (*visit)(void*, uint64_t), void* with) {
  Dict::for_each_block(segment, segment.shard(shard).channels, [&](uint64_t block) { visit(with, block); });
  Dict::for_each(segment, segment.shard(shard).channels, [&](uint64_t item) {
    const auto& channel = *segment.pointer<shm::Channel>(item);
    visit(with, item);
    if (const uint64_t block = channel.ring.block) visit(with, shm::Ring::offset_of(block));
    for (uint64_t next = channel.subscribers; next != 0; next = segment.pointer<shm::Subscription>(next)->next) {
      visit(with, next);
    }
  });
}

}  // namespace shoal::channels
