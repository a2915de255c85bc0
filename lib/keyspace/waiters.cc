// SPDX-License-Identifier: MIT
#include "keyspace/waiters.h"

#include <array>

#include "process/wake.h"
#include "types/list.h"
#include "types/sorted_set.h"

namespace shoal::waiters {

namespace {

using shm::Waiter;
using shm::WaitQueue;

constexpr uint32_t kReleasesPerTransaction = 32;

uint64_t queue_hash(const Key& key, Type kind) noexcept {
  return key.hash ^ (static_cast<uint64_t>(kind) + 1) * 0x9e3779b97f4a7c15u;
}
uint64_t stored_hash(const Segment& segment, uint64_t queue) noexcept {
  return segment.pointer<WaitQueue>(queue)->hash;
}
Bytes name_of(const WaitQueue& queue) noexcept { return {reinterpret_cast<const char*>(&queue + 1), queue.key_bytes}; }

// The queue, 0 if nobody waits.
uint64_t find(const Segment& segment, const Key& key, Type kind) noexcept {
  const shm::DictRoot& root = segment.shard(key.shard).waiters;
  const Dict::Slot* slot = Dict::find(segment, root, queue_hash(key, kind), [&](uint64_t offset) {
    const auto& queue = *segment.pointer<WaitQueue>(offset);
    return queue.database == key.database && queue.kind == static_cast<uint8_t>(kind) && name_of(queue) == key.name;
  });
  return slot == nullptr ? 0 : Dict::item_of(*slot);
}

// How many elements the key has for waiters of this kind.
uint64_t available(const Segment& segment, const Key& key, Type kind) noexcept {
  const shm::Entry* entry = keyspace::find(segment, key);
  if (entry == nullptr || entry->type() != kind) return 0;
  return kind == Type::kList ? entry->root<shm::ListRoot>().count
                             : sorted_set::count(entry->root<shm::SortedSetRoot>());
}

void unlink(Transaction& tx, uint32_t shard, uint64_t offset) noexcept {
  const auto& waiter = tx.view<Waiter>(offset);
  const uint64_t queue_offset = waiter.queue;
  const auto& queue = tx.view<WaitQueue>(queue_offset);
  tx.edit(waiter.previous == 0 ? queue.first : tx.view<Waiter>(waiter.previous).next) = waiter.next;
  tx.edit(waiter.next == 0 ? queue.last : tx.view<Waiter>(waiter.next).previous) = waiter.previous;
  if (waiter.woken != 0) tx.edit(queue.woken) -= 1;
  tx.edit(waiter.ticket) = 0;  // whoever still remembers the place does not take it for his
  tx.free(offset);
  if (queue.first != 0 || tx.failed()) return;
  Dict::remove(tx, tx.shard(shard).waiters, queue.hash, queue_offset);
  tx.free(queue_offset);
}

// Wakes waiters while there is an element that nobody was promised.
void wake_waiters(Transaction& tx, const Key& key, Type kind, uint64_t offset, Wakes& wakes) noexcept {
  const auto& queue = tx.view<WaitQueue>(offset);
  const uint64_t elements = available(tx.segment(), key, kind);
  uint64_t next = queue.first;
  while (next != 0 && queue.woken < elements && !tx.failed()) {
    const auto& waiter = tx.view<Waiter>(next);
    const uint64_t behind = waiter.next;
    if (waiter.woken == 0) {
      const uint32_t context = waiter.context;
      if (dead(tx.segment(), context)) {
        unlink(tx, key.shard, next);
        if (behind == 0) break;  // the queue may be gone
      } else {
        tx.edit(waiter.woken) = 1;
        tx.edit(queue.woken) += 1;
        wakes.add(context);
      }
    }
    next = behind;
  }
  if (!wakes.empty()) tx.owe_wakes();
}

}  // namespace

uint64_t add(Transaction& tx, const Key& key, Type kind, const Who& who) noexcept {
  tx.set_home(key.shard);
  uint64_t queue_offset = find(tx.segment(), key, kind);
  if (queue_offset == 0) {
    auto* queue = tx.create<WaitQueue>(sizeof(WaitQueue) + key.name.size());
    if (queue == nullptr) return 0;
    *queue = {queue_hash(key, kind),      0, 0, 0, static_cast<uint32_t>(key.name.size()), key.database,
              static_cast<uint8_t>(kind), {}};
    copy_bytes(queue + 1, key.name);
    queue_offset = tx.offset_of(queue);
    Dict::insert(tx, tx.shard(key.shard).waiters, queue->hash, queue_offset, stored_hash);
    if (tx.failed()) return 0;
  }
  const auto& queue = tx.view<WaitQueue>(queue_offset);
  auto* waiter = tx.create<Waiter>();
  if (waiter == nullptr) return 0;
  waiter->queue = queue_offset;
  waiter->previous = queue.last;
  waiter->next = 0;
  waiter->ticket = who.ticket;
  waiter->slot_generation = who.slot_generation;
  waiter->slot = who.slot;
  waiter->context = who.context;
  waiter->woken = 0;
  waiter->reserved = 0;
  const uint64_t offset = tx.offset_of(waiter);
  tx.edit(queue.last == 0 ? queue.first : tx.view<Waiter>(queue.last).next) = offset;
  tx.edit(queue.last) = offset;
  return tx.failed() ? 0 : offset;
}

bool is_registered(const Segment& segment, uint64_t waiter, uint64_t ticket) noexcept {
  return waiter != 0 && segment.pointer<Waiter>(waiter)->ticket == ticket;
}

void remove(Transaction& tx, uint32_t shard, uint64_t offset, Wakes& wakes) noexcept {
  const auto& waiter = tx.view<Waiter>(offset);
  const uint64_t queue_offset = waiter.queue;
  const auto& queue = tx.view<WaitQueue>(queue_offset);
  const bool last = queue.first == offset && waiter.next == 0;
  tx.set_home(shard);
  unlink(tx, shard, offset);
  if (last || tx.failed()) return;
  const Key key{name_of(queue), queue_hash({{}, queue.hash}, static_cast<Type>(queue.kind)), shard, queue.database};
  wake_waiters(tx, key, static_cast<Type>(queue.kind), queue_offset, wakes);
}

void wait_on(Transaction& tx, uint64_t offset) noexcept {
  const auto& waiter = tx.view<Waiter>(offset);
  if (waiter.woken == 0) return;
  tx.edit(waiter.woken) = 0;
  tx.edit(tx.view<WaitQueue>(waiter.queue).woken) -= 1;
}

uint64_t promised(const Segment& segment, const Key& key, Type kind) noexcept {
  if (segment.shard(key.shard).waiters.count.load() == 0) return 0;
  const uint64_t queue = find(segment, key, kind);
  return queue == 0 ? 0 : segment.pointer<WaitQueue>(queue)->woken;
}

void offer(Transaction& tx, const Key& key, Wakes& wakes) noexcept {
  if (tx.shard(key.shard).waiters.count.load() == 0) return;
  const shm::Entry* entry = keyspace::find(tx.segment(), key);
  if (entry == nullptr) return;
  const uint64_t queue = find(tx.segment(), key, entry->type());
  if (queue != 0) wake_waiters(tx, key, entry->type(), queue, wakes);
}

namespace {

struct OfSlot {
  std::array<uint64_t, kReleasesPerTransaction> waiters;
  uint32_t count = 0;
};

// The first waiters of the slot in this shard.
OfSlot find_of_slot(const Segment& segment, uint32_t shard, uint32_t slot, uint64_t generation) noexcept {
  OfSlot found;
  Dict::for_each(segment, segment.shard(shard).waiters, [&](uint64_t queue) {
    for (uint64_t next = segment.pointer<WaitQueue>(queue)->first; next != 0 && found.count < found.waiters.size();) {
      const auto& waiter = *segment.pointer<Waiter>(next);
      if (waiter.slot == slot && waiter.slot_generation == generation) found.waiters[found.count++] = next;
      next = waiter.next;
    }
  });
  return found;
}

Status release_in(Process& process, uint32_t shard, uint32_t slot, uint64_t generation, int64_t budget_ns) noexcept {
  const Segment& segment = process.segment();
  for (bool more = segment.shard(shard).waiters.count.load() != 0; more;) {  // the dead add none
    auto context = process.context();
    if (!context.ok()) return context.status();
    {  // who has none here does not wait for a shard that takes no writes
      const ShardLock look(process, *context.value(), shard, budget_ns);
      if (!look.ok()) return look.status();
      if (find_of_slot(segment, shard, slot, generation).count == 0) return {};
    }
    Wakes wakes;
    Transaction tx(process, *context.value(), {Purpose::kWake});
    if (Status status = tx.begin(uint64_t{1} << shard, budget_ns); !status.ok()) return status;
    const OfSlot found = find_of_slot(segment, shard, slot, generation);
    for (uint32_t i = 0; i < found.count && !tx.failed(); ++i) {
      const uint64_t waiter = found.waiters[i];
      if (tx.view<Waiter>(waiter).ticket == 0) continue;  // a turn that was passed on found it dead
      remove(tx, shard, waiter, wakes);
    }
    more = found.count == found.waiters.size();
    if (Status status = tx.commit(); !status.ok()) return status;
    if (!wakes.empty()) {
      ring(process, wakes);
      tx.settle_wakes();
    }
  }
  return {};
}

}  // namespace

Status release_slot(Process& process, uint32_t slot, uint64_t slot_generation, int64_t budget_ns) noexcept {
  Status result;
  for (uint32_t shard = 0; shard < process.segment().shard_count(); ++shard) {
    Status status = release_in(process, shard, slot, slot_generation, budget_ns);
    if (!status.ok()) result = status;  // what lies behind the other locks is released all the same
  }
  return result;
}

bool ring(Process& process, const Wakes& wakes) noexcept {
  if (wakes.everybody) {
    wake_everybody(process);
    return true;
  }
  bool woken = false;
  for (uint32_t i = 0; i < wakes.count; ++i) woken = wake_context(process, wakes.contexts[i]) || woken;
  return woken;
}

bool check(const Segment& segment, uint32_t shard, VisitBlock visit, void* context) noexcept {
  const shm::DictRoot& root = segment.shard(shard).waiters;
  bool good = true;
  Dict::for_each_block(segment, root, [&](uint64_t block) { good = visit(context, block) && good; });
  Dict::for_each(segment, root, [&](uint64_t offset) {
    const auto& queue = *segment.pointer<WaitQueue>(offset);
    good = visit(context, offset) && good && queue.first != 0;
    uint64_t before = 0;
    uint32_t woken = 0;
    for (uint64_t next = queue.first; good && next != 0; next = segment.pointer<Waiter>(next)->next) {
      const auto& waiter = *segment.pointer<Waiter>(next);
      good = visit(context, next) && waiter.queue == offset && waiter.previous == before;
      woken += waiter.woken;
      before = next;
    }
    good = good && before == queue.last && woken == queue.woken;
  });
  return good;
}

}  // namespace shoal::waiters
