// SPDX-License-Identifier: MIT
#include "queues/task_queue.h"

#include <algorithm>

#include "base/clock.h"
#include "queues/queue_core.h"

namespace shoal::queues {

using shm::NamedKind;
using shm::Queue;
using shm::Task;

namespace {

uint64_t now_ms() noexcept { return static_cast<uint64_t>(wall_clock_ms()); }

// Leases that are looked at for the oldest one: it is for people, and the shard's lock is held.
constexpr uint64_t kLookedAtMax = 1000;

// The earliest time in a tree of leases, of those that are looked at: the earliest numbers first.
void oldest_lease(const Segment& segment, uint64_t task, uint64_t& left, uint64_t& oldest_ms) noexcept {
  if (task == 0 || left == 0) return;
  const Task& record = *segment.pointer<Task>(task);
  oldest_lease(segment, record.left, left, oldest_ms);
  if (left == 0) return;
  --left;
  if (oldest_ms == 0 || record.time_ms < oldest_ms) oldest_ms = record.time_ms;
  oldest_lease(segment, record.right, left, oldest_ms);
}

void fill_stats(const Segment& segment, const Queue& queue, QueueStats& stats) noexcept {
  stats.database = queue.head.database;
  stats.ready = queue.ready_count;
  stats.delayed = queue.delayed_count;
  stats.leased = queue.leased_count;
  stats.dead = queue.dead_count;
  stats.pushed = queue.pushed;
  stats.acknowledged = queue.acknowledged;
  stats.consumers = stats.waiting = 0;
  for (uint64_t next = queue.consumers; next != 0; next = segment.pointer<shm::Holder>(next)->next) {
    ++stats.consumers;
    stats.waiting += segment.pointer<shm::Holder>(next)->waiter != 0;
  }
  const uint64_t first = tree::first(segment, queue.delayed);
  stats.next_due_ms = first == 0 ? 0 : segment.pointer<Task>(first)->time_ms;
  stats.oldest_lease_ms = 0;
  uint64_t left = kLookedAtMax;
  for (const uint64_t list : {queue.consumers, queue.helpers}) {
    for (uint64_t next = list; next != 0; next = segment.pointer<shm::Holder>(next)->next) {
      oldest_lease(segment, segment.pointer<shm::Holder>(next)->leases, left, stats.oldest_lease_ms);
    }
  }
}

}  // namespace

Result<uint64_t> TaskQueues::declare(Bytes text, const QueueOptions& options, int64_t budget_ns) {
  const Name name(process_.segment(), NamedKind::kQueue, database_, text);
  uint64_t size = 0;
  Status status = run(process_, Locks::of(name, Purpose::kDeclareQueue, budget_ns), [&](Transaction& tx, Wakes& wakes) {
    Core core{tx, wakes, name};
    const Queue* queue = core.ensure(options);
    if (queue == nullptr) return Step::kAbandon;
    core.touch(*queue, now_ms());
    size = queue->ready_count + queue->delayed_count;
    return Step::kCommit;
  });
  if (!status.ok()) return status;
  return size;
}

Result<PushResult> TaskQueues::push(Bytes text, const NewTask& task, int64_t budget_ns) {
  const Name name(process_.segment(), NamedKind::kQueue, database_, text);
  PushResult result = PushResult::kRefused;
  Status status = run(process_, Locks::of(name, Purpose::kPushTask, budget_ns), [&](Transaction& tx, Wakes& wakes) {
    Core core{tx, wakes, name};
    const Queue* queue = core.ensure();
    const bool pushed = queue != nullptr && core.push(*queue, task, now_ms());
    result = pushed ? PushResult::kPushed : PushResult::kRefused;
    return pushed ? Step::kCommit : Step::kAbandon;
  });
  if (!status.ok()) return status;
  return result;
}

Result<PushResult> TaskQueues::push_existing(Bytes text, const NewTask& task, int64_t budget_ns) {
  const Name name(process_.segment(), NamedKind::kQueue, database_, text);
  PushResult result = PushResult::kGone;
  Status status = run(process_, Locks::of(name, Purpose::kPushTask, budget_ns), [&](Transaction& tx, Wakes& wakes) {
    Core core{tx, wakes, name};
    const Queue* queue = core.find();
    const bool pushed = queue != nullptr && core.push(*queue, task, now_ms());
    result = queue == nullptr ? PushResult::kGone : pushed ? PushResult::kPushed : PushResult::kRefused;
    return pushed ? Step::kCommit : Step::kAbandon;
  });
  if (!status.ok()) return status;
  return result;
}

Result<std::optional<QueueStats>> TaskQueues::stats(Bytes text, int64_t budget_ns) {
  const Name name(process_.segment(), NamedKind::kQueue, database_, text);
  QueueStats stats;
  bool found = false;
  Status status = run(process_, Locks::of(name, Purpose::kLookAtQueues, budget_ns), [&](Transaction& tx, Wakes& wakes) {
    const Queue* queue = Core{tx, wakes, name}.find();
    found = queue != nullptr;
    if (found) fill_stats(tx.segment(), *queue, stats);
    return Step::kCommit;
  });
  if (!status.ok()) return status;
  if (!found) return std::optional<QueueStats>();
  stats.name = text;
  return std::optional<QueueStats>(std::move(stats));
}

Result<uint64_t> TaskQueues::purge(Bytes text, int64_t budget_ns) {
  const Name name(process_.segment(), NamedKind::kQueue, database_, text);
  uint64_t freed = 0;
  for (bool done = false; !done;) {
    const uint64_t before = freed;
    Status status = run(process_, Locks::of(name, Purpose::kPurgeQueue, budget_ns), [&](Transaction& tx, Wakes& wakes) {
      Core core{tx, wakes, name};
      const Queue* queue = core.find();
      freed = before;
      done = queue == nullptr || core.purge_some(*queue, freed);
      return Step::kCommit;
    });
    if (!status.ok()) return status;
  }
  return freed;
}

namespace {

// Removes it for as long as `may(queue)`: each of the transactions asks anew.
Result<uint64_t> remove_while(Process& process, const Name& name, int64_t budget_ns, auto&& may) {
  uint64_t freed = 0;
  std::vector<uint32_t> room(kWakesMax);
  for (bool done = false; !done;) {
    const uint64_t before = freed;
    uint32_t wanted = 0;
    Status status =
        run(process, Locks::of(name, Purpose::kRemoveQueue, budget_ns), room, [&](Transaction& tx, Wakes& wakes) {
          Core core{tx, wakes, name};
          const Queue* queue = core.find();
          freed = before;
          done = queue == nullptr || !may(*queue) || core.remove_some(*queue, freed);
          wanted = wakes.wanted;
          return Step::kCommit;
        });
    if (!status.ok()) return status;
    if (wanted > room.size()) room.resize(2 * wanted);  // all who sleep for it are woken: by the commit that removes it
  }
  return freed;
}

// Nobody consumes from it, and nobody has used it for as long as it may be unused.
bool expired(const Queue& queue) noexcept {
  return queue.expires_ms != 0 && queue.consumers == 0 && queue.used_ms + queue.expires_ms <= now_ms();
}

}  // namespace

Result<uint64_t> TaskQueues::remove(Bytes text, int64_t budget_ns) {
  const Name name(process_.segment(), NamedKind::kQueue, database_, text);
  return remove_while(process_, name, budget_ns, [](const Queue&) { return true; });
}

Result<std::vector<std::string>> TaskQueues::dead_letters(Bytes text, uint64_t limit) {
  const Name name(process_.segment(), NamedKind::kQueue, database_, text);
  std::vector<std::string> letters;
  for (uint64_t skip = 0; skip < limit; ++skip) {  // one a lock: letters are few, and their bytes may be many
    bool found = false;
    uint64_t wanted = 0;
    std::string letter;
    for (bool again = true; again;) {
      letter.resize(wanted);
      again = false;
      Status status = run(process_, Locks::of(name, Purpose::kLookAtQueues), [&](Transaction& tx, Wakes& wakes) {
        const Queue* queue = Core{tx, wakes, name}.find();
        uint64_t task = queue == nullptr ? 0 : queue->dead.first;
        for (uint64_t i = 0; i < skip && task != 0; ++i) task = tx.view<Task>(task).right;
        found = task != 0;
        if (!found) return Step::kCommit;
        const Task& record = tx.view<Task>(task);
        wanted = record.bytes;
        if ((again = letter.size() != wanted)) return Step::kAbandon;
        copy_data(tx.segment(), record, letter.data());
        return Step::kCommit;
      });
      if (!status.ok()) return status;
    }
    if (!found) break;
    letters.push_back(std::move(letter));
  }
  return letters;
}

Result<uint64_t> TaskQueues::revive(Bytes text) {
  const Name name(process_.segment(), NamedKind::kQueue, database_, text);
  uint64_t revived = 0;
  for (bool done = false; !done;) {
    const uint64_t before = revived;
    Status status = run(process_, Locks::of(name, Purpose::kReviveTasks), [&](Transaction& tx, Wakes& wakes) {
      Core core{tx, wakes, name};
      const Queue* queue = core.find();
      revived = before;
      for (uint32_t i = 0; queue != nullptr && queue->dead.first != 0 && i < kBatch && !tx.failed(); ++i, ++revived) {
        const uint64_t task = queue->dead.first;
        const uint64_t next = tx.view<Task>(task).right;
        tx.edit(queue->dead.first) = next;
        if (next == 0) tx.edit(queue->dead.last) = 0;
        tx.edit(queue->dead_count) -= 1;
        tx.edit(tx.view<Task>(task).deliveries) = 0;
        core.give_back(*queue, task);
        core.wake_one(*queue);
      }
      done = queue == nullptr || queue->dead.first == 0;
      return Step::kCommit;
    });
    if (!status.ok()) return status;
  }
  return revived;
}

namespace {

struct Listed {
  std::string name;
  QueueStats stats;
  bool expired;
};

// Every queue of one shard. Names are copied under the lock into room that was made before it.
Status list_queues(Process& process, const Locks& shard, std::vector<Listed>& queues) {
  constexpr size_t kNameRoom = 256;
  for (uint64_t room = 16;;) {
    queues.resize(room);
    for (Listed& listed : queues) listed.name.reserve(kNameRoom);
    uint64_t count = 0;
    bool fits = true;
    Status status = run(process, shard, [&](Transaction& tx, Wakes&) {
      count = 0;
      fits = true;
      Dict::for_each(tx.segment(), tx.shard(tx.home()).queues, [&](uint64_t item) {
        const auto& head = tx.view<shm::Named>(item);
        if (head.kind != NamedKind::kQueue) return;
        const Bytes text = name_of(head, sizeof(Queue));
        if (count < room && text.size() <= queues[count].name.capacity()) {
          const auto& queue = tx.view<Queue>(item);
          queues[count].name.assign(text);
          fill_stats(tx.segment(), queue, queues[count].stats);
          queues[count].expired = expired(queue);
        } else {
          fits = false;
        }
        ++count;
      });
      return fits ? Step::kCommit : Step::kAbandon;
    });
    if (!status.ok()) return status;
    if (fits || room > count + 16) {  // the second: a name that is longer than anybody's room is left out
      queues.resize(std::min<uint64_t>(count, room));
      return {};
    }
    room = count + 32;
  }
}

}  // namespace

Result<std::vector<QueueStats>> all_queues(Process& process) {
  std::vector<QueueStats> all;
  std::vector<Listed> queues;
  for (uint32_t shard = 0; shard < process.segment().shard_count(); ++shard) {
    if (process.segment().shard(shard).queues.count.load() == 0) continue;
    if (Status status = list_queues(process, Locks::look_at(shard, Purpose::kLookAtQueues), queues); !status.ok())
      return status;
    for (Listed& listed : queues) {
      listed.stats.name = listed.name;
      all.push_back(std::move(listed.stats));
    }
  }
  return all;
}

namespace {

Status expire_in(Process& process, uint32_t shard, int64_t budget_ns, std::vector<Listed>& queues) {
  if (process.segment().shard(shard).queues.count.load() == 0) return {};
  const Locks locks = Locks::look_at(shard, Purpose::kLookAtQueues, budget_ns);
  if (Status status = list_queues(process, locks, queues); !status.ok()) return status;
  for (const Listed& listed : queues) {
    if (!listed.expired) continue;
    // Used since then, or in the midst of a long removal: what is left of it stays.
    const Name name(process.segment(), NamedKind::kQueue, listed.stats.database, listed.name);
    auto removed = remove_while(process, name, budget_ns, [](const Queue& queue) { return expired(queue); });
    if (!removed.ok()) return removed.status();
  }
  return {};
}

}  // namespace

Status expire_queues(Process& process, int64_t budget_ns) {
  std::vector<Listed> queues;
  Status result;
  for (uint32_t shard = 0; shard < process.segment().shard_count(); ++shard) {
    if (Status status = expire_in(process, shard, budget_ns, queues); !status.ok()) result = status;
  }
  return result;
}

}  // namespace shoal::queues
