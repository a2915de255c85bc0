// SPDX-License-Identifier: MIT
#include "channels/outbox.h"

#include <cstring>

#include "base/glob.h"
#include "channels/subscription.h"
#include "process/wake.h"
#include "transaction/owner_lock.h"
#include "transaction/recovery.h"

namespace shoal::channels {

namespace {

constexpr auto relaxed = std::memory_order_relaxed;

[[maybe_unused]] const bool known_to_recovery = (set_publish_outbox(finish_outbox), true);

shm::Posting& posting_at(Segment& segment, uint64_t offset) noexcept {
  return *reinterpret_cast<shm::Posting*>(segment.control_base() + offset);
}

uint32_t outbox_shard(const Segment& segment, const shm::Context& owner) noexcept {
  const auto index = static_cast<uint32_t>(&owner - &segment.context(0));
  return index % segment.shard_count();
}

void append(char*& place, Bytes bytes) noexcept {
  copy_bytes(place, bytes);
  place += round_up(bytes.size(), 8);
}

// Adds a posting to the outbox of the transaction's own context.
void add(Transaction& tx, const Name& target, const Message& message) noexcept {
  const uint64_t bytes = sizeof(shm::Posting) + round_up(target.text.size(), 8) + round_up(message.channel.size(), 8) +
                         message.data.size();
  auto* posting = tx.create<shm::Posting>(round_up(bytes, 8));
  if (posting == nullptr) return;
  posting->next = 0;
  posting->sequence.store(0, relaxed);
  posting->done.store(0, relaxed);
  posting->kind = static_cast<uint32_t>(target.kind);
  posting->target_bytes = static_cast<uint32_t>(target.text.size());
  posting->channel_bytes = static_cast<uint32_t>(message.channel.size());
  posting->data_bytes = static_cast<uint32_t>(message.data.size());
  posting->reserved = 0;
  char* place = reinterpret_cast<char*>(posting + 1);
  append(place, target.text);
  append(place, message.channel);
  append(place, message.data);

  const shm::Context& self = tx.context();
  const uint64_t offset = tx.offset_of(posting);
  if (has_outbox(self)) {
    tx.edit(tx.view<shm::Posting>(self.outbox_tail).next) = offset;
  } else {
    tx.edit(self.outbox) = offset;
  }
  tx.edit(self.outbox_tail) = offset;
}

// The room for it is taken now: after the commit nothing may fail any more for lack of memory.
uint64_t post_to(Transaction& tx, const Name& target, const Message& message) noexcept {
  if (!tx.holds(target.shard)) {  // a pattern that came after outbox_shards() was asked
    tx.want_shards(outbox_shards(tx.segment(), message.channel));
    return 0;
  }
  const shm::Channel* channel = find(tx.segment(), target);
  if (channel == nullptr) return 0;
  if (reserve(tx, target, *channel, shm::message_bytes(message.channel.size(), message.data.size())))
    add(tx, target, message);
  return count_subscribers(tx.segment(), *channel);
}

}  // namespace

uint64_t outbox_shards(const Segment& segment, Bytes channel) noexcept {
  if (segment.header().patterns.load() != 0) return ~uint64_t{0} >> (64 - segment.shard_count());
  return uint64_t{1} << name_of(segment, ChannelKind::kChannel, channel).shard | 1;
}

Status post(Transaction& tx, Bytes channel, Bytes data, uint64_t& receivers) noexcept {
  const Segment& segment = tx.segment();
  if (channel.size() > kChannelNameBytesMax) return kNameTooLong;
  if (shm::message_bytes(channel.size(), data.size()) > message_bytes_max(segment)) return message_too_large(segment);
  receivers = post_to(tx, name_of(segment, ChannelKind::kChannel, channel), {{}, data});
  for (uint64_t next = segment.header().patterns; next != 0 && !tx.failed();) {
    const auto& pattern = tx.view<shm::Channel>(next);
    next = pattern.next_pattern;
    if (!glob_match(pattern.name(), channel)) continue;
    receivers += post_to(tx, name_of(segment, ChannelKind::kPattern, pattern.name()), {channel, data});
  }
  return {};
}

Status publish_to_all(Process& process, shm::Context& self, const Name& channel, std::span<const Name* const> patterns,
                      Bytes data, int64_t budget_ns, Published& result) noexcept {
  uint64_t shards = uint64_t{1} << channel.shard;
  for (const Name* pattern : patterns) shards |= uint64_t{1} << pattern->shard;
  Status status =
      transact(process, self, {Purpose::kPostMessages, false, channel.hash}, shards, budget_ns, [&](Transaction& tx) {
        result.receivers = post_to(tx, channel, {{}, data});
        for (const Name* pattern : patterns) result.receivers += post_to(tx, *pattern, {channel.text, data});
      });
  if (!status.ok()) return status;
  (void)flush(process, self, self, budget_ns, &result);  // it is published: what stays goes with a later flush
  return {};
}

// ---- After the commit -----------------------------------------------------------------------------------------------

namespace {

class PostingHook final : public PublishHook {
 public:
  PostingHook(shm::Posting& posting, uint32_t owner_id) noexcept : posting_(posting), owner_id_(owner_id) {}

  bool wanted() noexcept override { return posting_.done.load(relaxed) == 0; }
  void before(shm::Ring& ring) noexcept override {
    posting_.sequence.store(ring.next.load(relaxed), relaxed);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    ring.pending.store(owner_id_, relaxed);
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  void after(shm::Ring& ring) noexcept override {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    posting_.done.store(1, relaxed);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    ring.pending.store(0, relaxed);
  }

 private:
  shm::Posting& posting_;
  uint32_t owner_id_;
};

// The first posting, read under the lock that guards the outbox.
Status first_of(Process& process, shm::Context& self, const shm::Context& owner, int64_t budget_ns,
                uint64_t& first) noexcept {
  ShardLock lock(process, self, outbox_shard(process.segment(), owner), budget_ns);
  if (!lock.ok()) return lock.status();
  first = has_outbox(owner) ? owner.outbox : 0;
  return {};
}

Status drop_first(Process& process, shm::Context& self, shm::Context& owner, uint64_t first,
                  int64_t budget_ns) noexcept {
  return transact(process, self, {Purpose::kOutbox}, uint64_t{1} << outbox_shard(process.segment(), owner), budget_ns,
                  [&](Transaction& tx) {
                    if (owner.outbox != first) return;
                    const uint64_t next = tx.view<shm::Posting>(first).next;
                    // A dead one's last: whoever recovers him still has to tell everybody, also if it is not we.
                    tx.edit(owner.outbox) = next == 0 && &owner != &self ? kHintsOwed : next;
                    tx.free(first);
                  });
}

void note(const Published& one, Published& all) noexcept {
  all.history_cut = all.history_cut || one.history_cut;
  if (one.incarnation == 0) return;  // a pattern's
  all.incarnation = one.incarnation;
  all.sequence = one.sequence;
}

}  // namespace

void settle_pending(Segment& segment, shm::Ring& ring) noexcept {
  const auto id = static_cast<uint32_t>(ring.pending.load(relaxed));
  const shm::Context& owner = segment.context(shm::context_index(id));
  if (owner.id.load(std::memory_order_acquire) == id && has_outbox(owner)) {
    shm::Posting& posting = posting_at(segment, owner.outbox);
    if (ring.next.load(relaxed) != posting.sequence.load(relaxed)) posting.done.store(1, relaxed);
  }
  std::atomic_signal_fence(std::memory_order_seq_cst);
  ring.pending.store(0, relaxed);
}

Status flush(Process& process, shm::Context& self, shm::Context& owner, int64_t budget_ns, Published* result) noexcept {
  Segment& segment = process.segment();
  const uint32_t owner_id = owner.id.load(relaxed);
  for (;;) {
    uint64_t first = 0;
    if (Status status = first_of(process, self, owner, budget_ns, first); !status.ok()) return status;
    if (first == 0) return {};
    // Also one that is done: what names it in its ring must be gone before the next one stands first.
    shm::Posting& posting = posting_at(segment, first);
    const Name target = name_of(segment, static_cast<ChannelKind>(posting.kind), posting.target());
    PostingHook hook(posting, owner_id);
    Published published;
    const Status status =
        publish_to(process, self, target, {posting.channel(), posting.data()}, budget_ns, &hook, published);
    // No room: it is not the channel that post() made room in, but one of that name that came after the commit.
    if (!status.ok() && status.code() != Code::kFull) return status;
    if (result != nullptr) note(published, *result);
    if (Status status = drop_first(process, self, owner, first, budget_ns); !status.ok()) return status;
  }
}

namespace {

bool holds_a_lock(const Segment& segment, uint32_t id) noexcept {
  for (uint32_t shard = 0; shard < segment.shard_count(); ++shard) {
    if ((segment.shard(shard).owner.load(relaxed) & ~shm::kWaitersBit) == id) return true;
  }
  return false;
}

// The dead one may have published without telling: everybody looks at everything, once.
void hint_everybody(Process& process) noexcept {
  Segment& segment = process.segment();
  const uint32_t high = segment.context_high();
  for (uint32_t index = 0; index < high; ++index) {
    for (auto& word : segment.control_context(index).ready) word.store(~uint64_t{0});
  }
  wake_everybody(process);
}

}  // namespace

bool finish_outbox(Process& process, uint32_t self, shm::Context& dead) noexcept {
  Segment& segment = process.segment();
  if (has_outbox(dead)) {
    if (holds_a_lock(segment, self)) return false;
    shm::Context& own = segment.control_context(shm::context_index(self));
    if (!flush(process, own, dead, kLoopLockBudgetNs).ok()) return false;
  }
  hint_everybody(process);
  return true;
}

}  // namespace shoal::channels
