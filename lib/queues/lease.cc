// SPDX-License-Identifier: MIT
#include "queues/lease.h"

#include <cinttypes>
#include <cstdio>
#include <cstring>

namespace shoal::queues {

using shm::Holder;
using shm::NamedKind;
using shm::Queue;
using shm::Task;

std::string LeaseTag::text() const {
  char numbers[80];
  const int length = std::snprintf(numbers, sizeof numbers, "%" PRIx64 ".%" PRIx64 ".%" PRIx64 ".%" PRIx64 "@",
                                   incarnation, holder, number, lease);
  return std::string(numbers, static_cast<size_t>(length)) + queue;
}

std::optional<LeaseTag> LeaseTag::parse(Bytes text) {
  LeaseTag tag;
  const size_t at = text.find('@');
  if (at == Bytes::npos || at > 70) return std::nullopt;
  const std::string numbers(text.substr(0, at));
  char end = 0;
  if (std::sscanf(numbers.c_str(), "%" SCNx64 ".%" SCNx64 ".%" SCNx64 ".%" SCNx64 "%c", &tag.incarnation, &tag.holder,
                  &tag.number, &tag.lease, &end) != 4) {
    return std::nullopt;
  }
  tag.queue = text.substr(at + 1);
  return tag;
}

namespace {

const Holder* find_in(Transaction& tx, uint64_t list, auto&& accepts) noexcept {
  for (uint64_t next = list; next != 0; next = tx.view<Holder>(next).next) {
    if (const Holder& holder = tx.view<Holder>(next); accepts(holder)) return &holder;
  }
  return nullptr;
}

}  // namespace

const Holder* Leases::find(uint64_t id) const noexcept {
  const auto is_it = [id](const Holder& holder) { return holder.id == id; };
  const Holder* holder = find_in(core.tx, queue.consumers, is_it);
  return holder != nullptr ? holder : find_in(core.tx, queue.helpers, is_it);
}

const Holder* Leases::consumer(Owner owner, uint64_t handle) const noexcept {
  return find_in(core.tx, queue.consumers, [=](const Holder& h) { return owner.owns(h) && h.handle == handle; });
}

const Holder* Leases::helper(Owner owner) const noexcept {
  return find_in(core.tx, queue.helpers, [=](const Holder& h) { return owner.owns(h); });
}

const Holder* Leases::add_holder(Owner owner, uint64_t handle) noexcept {
  Transaction& tx = core.tx;
  auto* holder = tx.create<Holder>();
  if (holder == nullptr) return nullptr;
  std::memset(holder, 0, sizeof *holder);
  holder->id = next_number(tx, core.name.shard);
  holder->slot = owner.slot;
  holder->slot_generation = owner.generation;
  holder->handle = handle;
  holder->queue = tx.offset_of(&queue);
  const uint64_t& list = handle != 0 ? queue.consumers : queue.helpers;
  const uint64_t offset = tx.offset_of(holder);
  holder->next = list;
  if (list != 0) tx.edit(tx.view<Holder>(list).previous) = offset;
  tx.edit(list) = offset;
  if (handle != 0 && queue.had_consumer == 0) tx.edit(queue.had_consumer) = 1;
  return tx.failed() ? nullptr : holder;
}

void Leases::lease(const Holder& holder, uint64_t task, uint64_t now_ms) noexcept {
  Transaction& tx = core.tx;
  const Task& record = core.task_at(task);
  tx.edit(record.lease) = next_number(tx, core.name.shard);
  tx.edit(record.second) = 0;
  tx.edit(record.time_ms) = now_ms;
  tx.edit(record.state) = shm::TaskState::kLeased;
  tx.edit(record.flags) = shm::kTaskRedelivered;  // the next delivery will be one; not started
  tx.edit(record.finished) = 0;
  tree::insert(tx, holder.leases, task, tree::by_number);
  tx.edit(holder.lease_count) += 1;
  tx.edit(queue.leased_count) += 1;
}

uint64_t Leases::find_task(const Holder& holder, const LeaseTag& tag) const noexcept {
  const uint64_t task = tree::find(core.tx.segment(), holder.leases, tag.number);
  return task != 0 && core.task_at(task).lease == tag.lease ? task : 0;
}

void Leases::take_from(const Holder& holder, uint64_t task) noexcept {
  tree::remove(core.tx, holder.leases, task, tree::by_number);
  core.tx.edit(holder.lease_count) -= 1;
}

void Leases::end(const Holder& holder, uint64_t task, Outcome outcome, bool orderly) noexcept {
  Transaction& tx = core.tx;
  take_from(holder, task);
  tx.edit(queue.leased_count) -= 1;
  if (tx.failed()) return;
  if (outcome != Outcome::kRequeue) {
    if (outcome == Outcome::kAck) tx.edit(queue.acknowledged) += 1;
    core.free_task(task);
    return;
  }
  const Task& record = core.task_at(task);
  if (orderly && (record.flags & shm::kTaskStarted) != 0) tx.edit(record.deliveries) -= 1;
  if (!orderly && queue.max_deliveries != 0 && record.deliveries >= queue.max_deliveries) {
    core.bury(queue, task);
  } else {
    core.give_back(queue, task);
    core.wake_one(queue);
  }
}

// The holder is gone.
void Leases::let_go(const Holder& holder, uint64_t task, bool orderly) noexcept {
  Transaction& tx = core.tx;
  const Task& record = core.task_at(task);
  if (record.finished != 0) return end(holder, task, static_cast<Outcome>(record.finished - 1), true);
  const Holder* second = record.second == 0 ? nullptr : find_in(tx, queue.helpers, [&record](const Holder& helper) {
    return helper.id == record.second;
  });
  if (second == nullptr || second == &holder) {
    return end(holder, task, Outcome::kRequeue, orderly || (record.flags & shm::kTaskStarted) == 0);
  }
  take_from(holder, task);
  if (tx.failed()) return;
  tree::insert(tx, second->leases, task, tree::by_number);
  tx.edit(second->lease_count) += 1;
}

bool Leases::release_some(const Holder& holder, bool orderly) noexcept {
  Transaction& tx = core.tx;
  for (uint32_t i = 0; holder.leases != 0; ++i) {
    if (i == kBatch || tx.failed()) return false;
    let_go(holder, holder.leases, orderly);
  }
  // The holder goes last, so that a release that died half-way is found again.
  const bool last_consumer = holder.handle != 0 && holder.next == 0 && holder.previous == 0;
  if (last_consumer && queue.auto_delete != 0) {
    uint64_t freed = 0;
    return core.remove_some(queue, freed);
  }
  core.stop_waiting(queue, holder);
  const uint64_t& first = holder.handle != 0 ? queue.consumers : queue.helpers;
  tx.edit(holder.previous != 0 ? tx.view<Holder>(holder.previous).next : first) = holder.next;
  if (holder.next != 0) tx.edit(tx.view<Holder>(holder.next).previous) = holder.previous;
  tx.free(tx.offset_of(&holder));
  core.pass_turn(queue);
  return !tx.failed();
}

namespace {

// Runs `body(core, leases)` on the queue that the tag names, if that is still there.
template <typename Body>
Status with_queue(TaskQueues& queues, const LeaseTag& tag, Purpose::Kind kind, Body&& body) {
  const Name name(queues.process().segment(), NamedKind::kQueue, queues.database(), tag.queue);
  return run(queues.process(), Locks::of(name, kind), [&](Transaction& tx, Wakes& wakes) {
    Core core{tx, wakes, name};
    const Queue* queue = core.find();
    if (queue == nullptr || queue->incarnation != tag.incarnation) return Step::kAbandon;
    return body(core, Leases{core, *queue});
  });
}

}  // namespace

Result<bool> start(TaskQueues& queues, const LeaseTag& tag) {
  const Result<Owner> me = Owner::of(queues.process());
  if (!me.ok()) return me.status();
  bool started = false;
  const auto start_as = [&](bool owner) {
    return with_queue(queues, tag, Purpose::kStartTask, [&](Core& core, Leases leases) {
      Transaction& tx = core.tx;
      started = false;
      const Holder* first = leases.find(tag.holder);
      const uint64_t task = first == nullptr ? 0 : leases.find_task(*first, tag);
      if (task == 0) return Step::kAbandon;
      const Task& record = core.task_at(task);
      if ((record.flags & shm::kTaskStarted) == 0) {
        tx.edit(record.flags) |= shm::kTaskStarted;
        tx.edit(record.deliveries) += 1;
      }
      if (owner && !me.value().owns(*first)) {
        const Holder* second = leases.helper(me.value());
        if (second == nullptr) second = leases.add_holder(me.value(), 0);
        if (second == nullptr) return Step::kAbandon;
        tx.edit(record.second) = second->id;
      }
      started = true;
      return Step::kCommit;
    });
  };
  Status status = start_as(true);
  if (status.code() == Code::kFull) status = start_as(false);  // what is left needs no room
  if (!status.ok()) return status;
  return started;
}

Result<bool> finish(TaskQueues& queues, const LeaseTag& tag, Outcome outcome) {
  const Result<Owner> me = Owner::of(queues.process());
  if (!me.ok()) return me.status();
  bool finished = false;
  Status status = with_queue(queues, tag, Purpose::kFinishTask, [&](Core& core, Leases leases) {
    Transaction& tx = core.tx;
    finished = false;
    const Holder* first = leases.find(tag.holder);
    if (const uint64_t task = first == nullptr ? 0 : leases.find_task(*first, tag); task != 0) {
      const Task& record = core.task_at(task);
      tx.edit(record.finished) = static_cast<uint8_t>(1 + static_cast<uint8_t>(outcome));
      tx.edit(record.second) = 0;
      finished = true;
      return Step::kCommit;
    }
    const Holder* own = leases.helper(me.value());  // the first owner is gone: the lease is ours
    const uint64_t task = own == nullptr ? 0 : leases.find_task(*own, tag);
    if (task == 0) return Step::kAbandon;
    leases.end(*own, task, outcome, true);
    finished = true;
    return Step::kCommit;
  });
  if (!status.ok()) return status;
  return finished;
}

namespace {

struct Held {
  std::string queue;
  uint8_t database = 0;
  bool found = false, fits = true;
};

// The name of a queue of this shard in which somebody dead holds something. Only a look: whoever holds nothing here
// does not wait for a shard that takes no writes.
template <typename Dead>
Status find_held(Process& process, const Locks& shard, const Dead& dead, Held& held) {
  return run(process, shard, [&](Transaction& tx, Wakes&) {
    held.found = false;
    Dict::for_each(tx.segment(), tx.shard(tx.home()).queues, [&](uint64_t item) {
      const auto& head = tx.view<shm::Named>(item);
      if (held.found || head.kind != NamedKind::kQueue) return;
      const auto& queue = tx.view<Queue>(item);
      if (find_in(tx, queue.consumers, dead) == nullptr && find_in(tx, queue.helpers, dead) == nullptr) return;
      const Bytes name = name_of(head, sizeof(Queue));
      held.found = true;
      held.database = head.database;
      held.fits = name.size() <= held.queue.capacity();
      if (held.fits) held.queue.assign(name);
    });
    return Step::kCommit;
  });
}

template <typename Dead>
Status release_held(Process& process, const Locks& shard, const Held& held, const Dead& dead) {
  const Name name(process.segment(), NamedKind::kQueue, held.database, held.queue);
  return run(process, Locks::of(name, Purpose::kReleaseLeases, shard.budget_ns), [&](Transaction& tx, Wakes& wakes) {
    Core core{tx, wakes, name};
    const Queue* queue = core.find();
    if (queue == nullptr) return Step::kAbandon;
    const Holder* holder = find_in(tx, queue->consumers, dead);
    if (holder == nullptr) holder = find_in(tx, queue->helpers, dead);
    if (holder == nullptr) return Step::kAbandon;
    tx.name(Purpose::one_of(Purpose::kReleaseLeases, holder->slot + 1), name.hash);  // another's says nothing of his
    Leases{core, *queue}.release_some(*holder, false);
    return Step::kCommit;
  });
}

template <typename Dead>
Status release_in(Process& process, const Locks& shard, const Dead& dead, Held& held) {
  for (;;) {
    if (Status status = find_held(process, shard, dead, held); !status.ok() || !held.found) return status;
    if (!held.fits) {
      held.queue.reserve(held.queue.capacity() * 4);
    } else if (Status status = release_held(process, shard, held, dead); !status.ok()) {
      return status;
    }
  }
}

template <typename Dead>
Status release_all(Process& process, int64_t budget_ns, const Dead& dead) {
  Held held;
  held.queue.reserve(256);
  Status result;
  for (uint32_t shard = 0; shard < process.segment().shard_count(); ++shard) {
    if (process.segment().shard(shard).queues.count.load() == 0) continue;
    Status status = release_in(process, Locks::look_at(shard, Purpose::kFindLeases, budget_ns), dead, held);
    if (!status.ok()) result = status;  // what lies behind the other locks comes back all the same
  }
  return result;
}

}  // namespace

Status release_slot(Process& process, uint32_t slot, uint64_t generation, int64_t budget_ns) {
  const Owner owner{slot, generation};
  return release_all(process, budget_ns, [owner](const Holder& holder) { return owner.owns(holder); });
}

Status release_stale(Process& process, int64_t budget_ns) {
  const Segment& segment = process.segment();
  return release_all(process, budget_ns, [&segment](const Holder& holder) {
    const shm::Slot& slot = segment.slot(holder.slot);
    return slot.generation.load(std::memory_order_acquire) != holder.slot_generation ||
           slot.state.load(std::memory_order_acquire) == static_cast<uint32_t>(shm::SlotState::kFree);
  });
}

}  // namespace shoal::queues
