// SPDX-License-Identifier: MIT
#include "channels/subscription.h"

#include <array>

#include "process/context.h"
#include "types/dict.h"

namespace shoal::channels {

namespace {

using Link = shm::Cell<uint64_t>;

const shm::Subscription& at(const Segment& segment, uint64_t offset) noexcept {
  return *segment.pointer<shm::Subscription>(offset);
}

// Far more records than there can be contexts to listen: a list that does not end before is damaged.
constexpr uint32_t kRecordsMax = 4 * kContextCountMax;

// The link that leads to the first record that `match` accepts, or to the end.
template <typename Match>
const Link& find_link(const Segment& segment, const shm::Channel& channel, Match&& match) noexcept {
  static constinit const Link none{};
  const Link* link = &channel.subscribers;
  for (uint32_t met = 0; link->load() != 0 && !match(at(segment, link->load())); ++met) {
    if (met == kRecordsMax) return none;
    link = &at(segment, link->load()).next;
  }
  return *link;
}

void unlink(Transaction& tx, const Link& link) noexcept {
  const uint64_t offset = link;
  tx.edit(link) = at(tx.segment(), offset).next.load();
  tx.free(offset);
}

bool stale(const Segment& segment, const shm::Subscription& subscription) noexcept {
  return dead(segment, subscription.context);
}

}  // namespace

const shm::Channel* subscribe(Transaction& tx, const Name& name, uint32_t context_id, uint32_t& bit) noexcept {
  const shm::Channel* channel = find_or_create(tx, name);
  if (channel == nullptr) return nullptr;
  const Link& link = find_link(tx.segment(), *channel, [&](const auto& s) { return s.context.load() == context_id; });
  if (link.load() != 0) {
    tx.edit(at(tx.segment(), link).count) += 1;
    bit = at(tx.segment(), link).bit;
    return tx.failed() ? nullptr : channel;
  }
  tx.set_home(name.shard);
  auto* fresh = tx.create<shm::Subscription>();
  if (fresh == nullptr) return nullptr;
  fresh->next = channel->subscribers.load();
  fresh->context = context_id;
  fresh->count = 1;
  fresh->bit = bit;
  fresh->reserved = 0;
  tx.edit(channel->subscribers) = tx.offset_of(fresh);
  return tx.failed() ? nullptr : channel;
}

void unsubscribe(Transaction& tx, const Name& name, uint64_t incarnation, uint32_t context_id) noexcept {
  const shm::Channel* channel = find(tx.segment(), name);
  if (channel == nullptr || channel->incarnation.load() != incarnation) return;
  const Link& link = find_link(tx.segment(), *channel, [&](const auto& s) { return s.context.load() == context_id; });
  if (link.load() == 0) return;
  tx.set_home(name.shard);
  if (at(tx.segment(), link).count.load() > 1) {
    tx.edit(at(tx.segment(), link).count) -= 1;
    return;
  }
  unlink(tx, link);
  release_if_unused(tx, name, *channel);
}

uint64_t count_subscribers(const Segment& segment, const shm::Channel& channel) noexcept {
  uint64_t count = 0;
  find_link(segment, channel, [&](const shm::Subscription& subscription) {
    if (!stale(segment, subscription)) count += subscription.count;
    return false;
  });
  return count;
}

// ---- What the dead left ---------------------------------------------------------------------------------------------

namespace {

constexpr uint32_t kChannelsPerRound = 64;  // of one transaction: bounds its journal and the time under the lock

struct Round {
  std::array<uint64_t, kChannelsPerRound> channels;
  uint32_t count = 0;
};

Round find_stale(const Segment& segment, uint32_t shard) noexcept {
  Round round;
  Dict::for_each(segment, segment.shard(shard).channels, [&](uint64_t item) {
    const auto& channel = *segment.pointer<shm::Channel>(item);
    if (round.count == kChannelsPerRound) return;
    if (find_link(segment, channel, [&](const auto& s) { return stale(segment, s); }).load() != 0) {
      round.channels[round.count++] = item;
    }
  });
  return round;
}

uint64_t remove_stale_of(Transaction& tx, const shm::Channel& channel) noexcept {
  uint64_t removed = 0;
  const auto next = [&]() -> const Link& {
    return find_link(tx.segment(), channel, [&](const auto& s) { return stale(tx.segment(), s); });
  };
  for (const Link* link = &next(); link->load() != 0 && !tx.failed(); link = &next()) {
    unlink(tx, *link);
    ++removed;
  }
  const auto kind = static_cast<ChannelKind>(channel.kind.load());
  release_if_unused(tx, name_of(tx.segment(), kind, channel.name()), channel);
  return removed;
}

}  // namespace

Status remove_stale(Process& process, shm::Context& self, uint32_t shard, int64_t budget_ns,
                    uint64_t& removed) noexcept {
  for (bool more = true; more;) {
    uint64_t round_removed = 0;
    const Purpose purpose{Purpose::kReleaseSubscriptions};
    Status status = transact(process, self, purpose, uint64_t{1} << shard | 1, budget_ns, [&](Transaction& tx) {
      round_removed = 0;
      const Round round = find_stale(tx.segment(), shard);
      more = round.count == kChannelsPerRound;
      for (uint32_t i = 0; i < round.count && !tx.failed(); ++i) {
        round_removed += remove_stale_of(tx, tx.view<shm::Channel>(round.channels[i]));
      }
    });
    if (!status.ok()) return status;
    removed += round_removed;
  }
  return {};
}

uint64_t remove_all_stale(Process& process, shm::Context& self, int64_t budget_ns) noexcept {
  uint64_t removed = 0;
  for (uint32_t shard = 0; shard < process.segment().shard_count(); ++shard) {
    if (process.segment().shard(shard).channels.count.load() == 0) continue;
    (void)remove_stale(process, self, shard, budget_ns, removed);
  }
  return removed;
}

}  // namespace shoal::channels
