// SPDX-License-Identifier: MIT
#include "queues/check.h"

#include <unordered_set>

#include "queues/directory.h"
#include "queues/tree.h"
#include "types/dict_check.h"

namespace shoal::queues {

using shm::Holder;
using shm::Queue;
using shm::Task;
using shm::TaskState;

namespace {

constexpr size_t kProblemsMax = 1000;  // then it stops to note: the first ones say enough
constexpr size_t kNameShownMax = 64;

void note(CheckReport& report, std::string problem) {
  if (report.problems.size() < kProblemsMax) report.problems.push_back(std::move(problem));
}

// Notes what is reached. False: that was so already, and whoever follows it once more may come to no end.
class Reached {
 public:
  explicit Reached(CheckReport& report) : report_(report) {}
  bool add(uint64_t block) {
    report_.blocks.push_back(block);
    return seen_.insert(block).second;
  }

 private:
  CheckReport& report_;
  std::unordered_set<uint64_t> seen_;
};

class QueueCheck {
 public:
  QueueCheck(const Segment& segment, uint32_t shard, const Queue& queue, Reached& reached, CheckReport& report)
      : segment_(segment), shard_(segment.shard(shard)), queue_(queue), reached_(reached), report_(report) {}

  void run() {
    uint64_t ready = 0, delayed = 0, dead = 0, leased = 0;
    for (uint32_t priority = 0; priority < shm::kPriorityCount; ++priority)
      ready += list(queue_.ready[priority], TaskState::kReady, priority);
    ready += tree(queue_.returned, TaskState::kReturned, tree::by_priority);
    delayed = tree(queue_.delayed, TaskState::kDelayed, tree::by_due);
    dead = list(queue_.dead, TaskState::kDead, shm::kPriorityCount);
    leased = holders(queue_.consumers, true) + holders(queue_.helpers, false);
    waiting();
    expect(ready == queue_.ready_count, "ready_count");
    expect(delayed == queue_.delayed_count, "delayed_count");
    expect(dead == queue_.dead_count, "dead_count");
    expect(leased == queue_.leased_count, "leased_count");
    expect(queue_.incarnation != 0 && queue_.incarnation <= shard_.queue_numbers, "incarnation");
  }

 private:
  bool expect(bool condition, const char* what) {
    if (!condition) {
      note(report_, "queue " + std::string(name_of(queue_.head, sizeof(Queue)).substr(0, kNameShownMax)) + ": " + what);
    }
    return condition;
  }
  template <typename T>
  const T* at(uint64_t offset) {
    if (!expect(offset % 8 == 0 && segment_.contains(offset, sizeof(T)), "a link leads out of the segment"))
      return nullptr;
    return segment_.pointer<T>(offset);
  }
  bool reach(uint64_t offset) { return expect(reached_.add(offset), "a block is reached twice"); }

  const Task* task(uint64_t offset, TaskState state) {
    const Task* record = at<Task>(offset);
    if (record == nullptr || !reach(offset)) return nullptr;
    expect(record->state == state, "a task stands where its state says it is not");
    expect(record->number != 0 && record->number <= shard_.queue_numbers, "a number that was never given");
    expect(record->priority < shm::kPriorityCount, "priority");
    expect((record->time_ms != 0) == (state == TaskState::kDelayed || state == TaskState::kLeased), "time_ms");
    expect(numbers_.insert(record->number).second || state == TaskState::kDead, "two tasks of one number");
    uint64_t bytes = 0;
    for (uint64_t next = record->more; next != 0;) {
      const auto* piece = at<shm::Piece>(next);
      if (piece == nullptr || !reach(next)) break;
      bytes += piece->bytes;
      next = piece->next;
    }
    expect(bytes <= record->bytes, "more pieces than bytes");
    return record;
  }

  uint64_t list(const shm::TaskList& list, TaskState state, uint32_t priority) {
    uint64_t count = 0, last = 0, before = 0;
    for (uint64_t next = list.first; next != 0; ++count) {
      const Task* record = task(next, state);
      if (record == nullptr) break;
      if (state == TaskState::kReady) {
        expect(record->priority == priority, "a task in another priority's list");
        expect(record->number > before, "a list out of order");
      }
      before = record->number;
      last = next;
      next = record->right;
    }
    expect(list.last == last, "a list's last");
    return count;
  }

  uint64_t tree(uint64_t root, TaskState state, tree::Less less) {
    uint64_t count = 0;
    const Task* before = nullptr;
    std::vector<uint64_t> path;
    for (uint64_t next = root; next != 0 || !path.empty();) {
      if (!expect(path.size() < 4096, "a tree without end")) return count;
      if (next != 0) {
        const Task* record = at<Task>(next);
        if (record == nullptr) return count;
        path.push_back(next);
        next = record->left;
        continue;
      }
      const Task* record = task(path.back(), state);
      if (record == nullptr) return count;
      path.pop_back();
      ++count;
      if (before != nullptr) expect(less(*before, *record), "a tree out of order");
      for (const uint64_t child : {record->left, record->right}) {
        if (child == 0) continue;
        if (const Task* below = at<Task>(child))
          expect(tree::rank(*below) <= tree::rank(*record), "a tree out of balance");
      }
      before = record;
      next = record->right;
    }
    return count;
  }

  uint64_t holders(uint64_t first, bool consumers) {
    uint64_t leased = 0, previous = 0;
    for (uint64_t next = first; next != 0;) {
      const Holder* holder = at<Holder>(next);
      if (holder == nullptr || !reach(next)) return leased;
      waiters_ += consumers && holder->waiter != 0;
      expect(holder->queue == segment_.offset_of(&queue_), "a holder of another queue");
      expect(holder->previous == previous, "the holders' list");
      expect((holder->handle != 0) == consumers, "a holder in the wrong list");
      expect(holder->slot < segment_.slot_count(), "a holder's slot");
      expect(consumers || holder->waiter == 0, "a helper that waits");
      expect(ids_.insert(holder->id).second, "two holders of one id");
      const uint64_t count = tree(holder->leases, TaskState::kLeased, tree::by_number);
      expect(count == holder->lease_count, "lease_count");
      leased += count;
      previous = next;
      next = holder->next;
    }
    return leased;
  }

  void waiting() {
    uint64_t previous = 0, count = 0;
    for (uint64_t next = queue_.waiting_first; next != 0; ++count) {
      const Holder* holder = at<Holder>(next);
      if (holder == nullptr || !expect(count < 65536, "a waiting list without end")) return;
      expect(holder->waiter != 0, "somebody in the waiting list who does not wait");
      expect(holder->previous_waiting == previous, "the waiting list");
      previous = next;
      next = holder->next_waiting;
    }
    expect(queue_.waiting_last == previous, "the waiting list's last");
    expect(waiters_ == count, "a waiting consumer that is not in the list");
  }

  const Segment& segment_;
  const shm::Shard& shard_;
  const Queue& queue_;
  Reached& reached_;
  CheckReport& report_;
  std::unordered_set<uint64_t> numbers_, ids_;
  uint64_t waiters_ = 0;  // consumers that wait
};

void check_exchange(const Segment& segment, const shm::Exchange& exchange, Reached& reached, CheckReport& report) {
  uint64_t count = 0;
  for (uint64_t next = exchange.bindings; next != 0; ++count) {
    if (next % 8 != 0 || !segment.contains(next, sizeof(shm::Binding))) {
      return note(report, "exchange: a link leads out of the segment");
    }
    if (!reached.add(next)) return note(report, "exchange: a block is reached twice");
    next = segment.pointer<shm::Binding>(next)->next;
  }
  if (count != exchange.count || count == 0) note(report, "exchange: count of bindings");
}

// What the directory names.
void check_item(const Segment& segment, uint32_t shard, uint64_t item, Reached& reached, CheckReport& report) {
  const auto room = [&](uint64_t bytes) { return item % 8 == 0 && segment.contains(item, bytes); };
  if (!room(sizeof(shm::Named))) return note(report, "the directory leads out of the segment");
  if (!reached.add(item)) return note(report, "something has two names");
  const auto& head = *segment.pointer<shm::Named>(item);
  const bool queue = head.kind == shm::NamedKind::kQueue;
  if (!room(uint64_t{head.name_bytes} + (queue ? sizeof(Queue) : sizeof(shm::Exchange)))) {
    return note(report, "a name leads out of the segment");
  }
  if (segment.shard_of(head.hash) != shard) note(report, "a name in a foreign shard");
  if (queue) {
    QueueCheck(segment, shard, *segment.pointer<Queue>(item), reached, report).run();
  } else {
    check_exchange(segment, *segment.pointer<shm::Exchange>(item), reached, report);
  }
}

}  // namespace

void check(const Segment& segment, uint32_t shard, CheckReport& report) {
  const shm::DictRoot& root = segment.shard(shard).queues;
  if (!for_each_doubtful(segment, root, [](uint64_t) {})) return note(report, "the directory leads nowhere");
  Reached reached(report);
  Dict::for_each_block(segment, root, [&](uint64_t block) { reached.add(block); });
  uint64_t count = 0;
  Dict::for_each(segment, root, [&](uint64_t item) {
    ++count;
    check_item(segment, shard, item, reached, report);
  });
  if (count != root.count.load()) note(report, "the directory's count of queues");
}

}  // namespace shoal::queues
