// SPDX-License-Identifier: MIT
#include "queues/queue_core.h"

#include <algorithm>
#include <cstring>

#include "base/clock.h"
#include "transaction/size_class.h"

namespace shoal::queues {

using shm::Holder;
using shm::Queue;
using shm::Task;
using shm::TaskState;

namespace {

constexpr uint64_t kTaskDataMax = kBlockMax - sizeof(Task);
constexpr uint64_t kPieceDataMax = kBlockMax - sizeof(shm::Piece);

}  // namespace

const Queue* Core::find() const noexcept {
  const uint64_t offset = find_named(tx.segment(), name);
  return offset == 0 ? nullptr : &queue_at(offset);
}

const Queue* Core::ensure(const QueueOptions& options) noexcept {
  if (const Queue* queue = find()) return queue;
  auto* queue = reinterpret_cast<Queue*>(create_named(tx, name, sizeof(Queue)));
  if (queue == nullptr) return nullptr;
  queue->incarnation = next_number(tx, name.shard);  // fresh memory: nobody saw it yet
  queue->max_length = options.max_length;
  queue->max_deliveries = options.max_deliveries;
  queue->drop_head = options.drop_head;
  queue->auto_delete = options.auto_delete;
  queue->expires_ms = options.expires_ms;
  queue->used_ms = static_cast<uint64_t>(wall_clock_ms());
  return queue;
}

uint64_t Core::create_pieces(Bytes data) noexcept {
  uint64_t first = 0;
  while (!data.empty()) {  // from the end, so that each piece knows its next
    const uint64_t rest = data.size() % kPieceDataMax;
    const Bytes part = data.substr(data.size() - (rest != 0 ? rest : kPieceDataMax));
    auto* piece = tx.create<shm::Piece>(sizeof(shm::Piece) + part.size());
    if (piece == nullptr) return 0;
    piece->next = first;
    piece->bytes = part.size();
    copy_bytes(piece + 1, part);
    first = tx.offset_of(piece);
    data.remove_suffix(part.size());
  }
  return first;
}

bool Core::push(const Queue& queue, const NewTask& task, uint64_t now_ms) noexcept {
  if (queue.max_length != 0 && queue.ready_count + queue.delayed_count >= queue.max_length) {
    const uint64_t head = queue.drop_head != 0 ? peek(queue) : 0;
    if (head == 0) return false;
    unlink_first(queue, head);
    free_task(head);
  }
  const uint64_t made = create_task(task.data, task.priority);
  if (made == 0) return false;
  const bool delayed = task.due_ms != 0 && task.due_ms > now_ms;
  if (delayed) {
    delay(queue, made, task.due_ms);
  } else {
    append(queue, made);
  }
  tx.edit(queue.pushed) += 1;
  // A sleeper must learn of a ready task, and of a delayed one that comes due before those it knows.
  if (!delayed || tree::first(tx.segment(), queue.delayed) == made) wake_one(queue);
  return true;
}

uint64_t Core::create_task(Bytes data, uint32_t priority) noexcept {
  const Bytes here = data.substr(0, kTaskDataMax);
  auto* task = tx.create<Task>(sizeof(Task) + here.size());
  if (task == nullptr) return 0;
  std::memset(task, 0, sizeof(Task));
  task->bytes = data.size();
  task->priority = static_cast<uint8_t>(std::min(priority, shm::kPriorityCount - 1));
  copy_bytes(task + 1, here);
  task->more = create_pieces(data.substr(here.size()));
  return tx.failed() ? 0 : tx.offset_of(task);
}

void Core::free_task(uint64_t task) noexcept {
  for (uint64_t piece = task_at(task).more; piece != 0; piece = tx.view<shm::Piece>(piece).next) tx.free(piece);
  tx.free(task);
}

void copy_data(const Segment& segment, const Task& task, char* target) noexcept {
  const uint64_t here = std::min(task.bytes, kTaskDataMax);
  std::memcpy(target, &task + 1, here);
  target += here;
  for (uint64_t next = task.more; next != 0;) {
    const auto* piece = segment.pointer<shm::Piece>(next);
    std::memcpy(target, piece + 1, piece->bytes);
    target += piece->bytes;
    next = piece->next;
  }
}

void Core::push_list(const shm::TaskList& list, uint64_t task) noexcept {
  tx.edit(task_at(task).right) = 0;
  if (list.last != 0) {
    tx.edit(task_at(list.last).right) = task;
  } else {
    tx.edit(list.first) = task;
  }
  tx.edit(list.last) = task;
}

uint64_t Core::pop_list(const shm::TaskList& list) noexcept {
  const uint64_t task = list.first;
  const uint64_t next = task_at(task).right;
  tx.edit(list.first) = next;
  if (next == 0) tx.edit(list.last) = 0;
  return task;
}

void Core::append(const Queue& queue, uint64_t task) noexcept {
  const Task& record = task_at(task);
  tx.edit(record.number) = next_number(tx, name.shard);
  tx.edit(record.time_ms) = 0;
  tx.edit(record.state) = TaskState::kReady;
  push_list(queue.ready[record.priority], task);
  tx.edit(queue.ready_count) += 1;
}

void Core::delay(const Queue& queue, uint64_t task, uint64_t due_ms) noexcept {
  const Task& record = task_at(task);
  tx.edit(record.number) = next_number(tx, name.shard);
  tx.edit(record.time_ms) = due_ms;
  tx.edit(record.state) = TaskState::kDelayed;
  tree::insert(tx, queue.delayed, task, tree::by_due);
  tx.edit(queue.delayed_count) += 1;
}

void Core::give_back(const Queue& queue, uint64_t task) noexcept {
  tx.edit(task_at(task).state) = TaskState::kReturned;
  tx.edit(task_at(task).time_ms) = 0;
  tree::insert(tx, queue.returned, task, tree::by_priority);
  tx.edit(queue.ready_count) += 1;
}

void Core::bury(const Queue& queue, uint64_t task) noexcept {
  tx.edit(task_at(task).state) = TaskState::kDead;
  tx.edit(task_at(task).time_ms) = 0;
  push_list(queue.dead, task);
  tx.edit(queue.dead_count) += 1;
}

void Core::promote(const Queue& queue, uint64_t now_ms) noexcept {
  for (uint32_t i = 0; i < kBatch && !tx.failed(); ++i) {
    const uint64_t task = tree::first(tx.segment(), queue.delayed);
    if (task == 0 || task_at(task).time_ms > now_ms) return;
    tree::remove(tx, queue.delayed, task, tree::by_due);
    tx.edit(queue.delayed_count) -= 1;
    append(queue, task);
  }
}

uint64_t Core::peek(const Queue& queue) const noexcept {
  uint64_t task = tree::first(tx.segment(), queue.returned);
  for (const shm::TaskList& list : queue.ready) {
    if (list.first == 0) continue;
    return task == 0 || tree::by_priority(task_at(list.first), task_at(task)) ? list.first : task;
  }
  return task;
}

void Core::unlink_first(const Queue& queue, uint64_t task) noexcept {
  if (task_at(task).state == TaskState::kReturned) {
    tree::remove(tx, queue.returned, task, tree::by_priority);
  } else {
    pop_list(queue.ready[task_at(task).priority]);
  }
  tx.edit(queue.ready_count) -= 1;
}

uint64_t Core::next_due(const Queue& queue) const noexcept {
  const uint64_t task = tree::first(tx.segment(), queue.delayed);
  return task == 0 ? 0 : task_at(task).time_ms;
}

void Core::stop_waiting(const Queue& queue, const Holder& holder) noexcept {
  if (holder.waiter == 0) return;
  const uint64_t next = holder.next_waiting, previous = holder.previous_waiting;
  tx.edit(previous != 0 ? tx.view<Holder>(previous).next_waiting : queue.waiting_first) = next;
  tx.edit(next != 0 ? tx.view<Holder>(next).previous_waiting : queue.waiting_last) = previous;
  tx.edit(holder.waiter) = 0;
}

void Core::wake_one(const Queue& queue) noexcept {
  while (queue.waiting_first != 0 && !tx.failed() && !wakes.full()) {
    const Holder& holder = tx.view<Holder>(queue.waiting_first);
    const uint32_t waiter = holder.waiter;
    stop_waiting(queue, holder);
    if (dead(tx.segment(), waiter)) continue;  // its thread ended: the next one's turn
    wakes.add(waiter);
    return;
  }
}

void Core::pass_turn(const Queue& queue) noexcept {
  if (queue.ready_count > 0 || queue.delayed_count > 0) wake_one(queue);
}

void Core::touch(const Queue& queue, uint64_t now_ms) noexcept {
  if (queue.expires_ms != 0) tx.edit(queue.used_ms) = now_ms;
}

uint32_t Core::sleepers(const Queue& queue) const noexcept {
  uint32_t count = 0;
  for (uint64_t next = queue.waiting_first; next != 0; next = tx.view<Holder>(next).next_waiting) ++count;
  return count;
}

bool Core::purge_some(const Queue& queue, uint64_t& freed) noexcept {
  for (uint32_t i = 0; i < kBatch && !tx.failed(); ++i, ++freed) {
    if (const uint64_t task = peek(queue); task != 0) {
      unlink_first(queue, task);
      free_task(task);
    } else if (const uint64_t late = queue.delayed; late != 0) {
      tree::remove(tx, queue.delayed, late, tree::by_due);
      tx.edit(queue.delayed_count) -= 1;
      free_task(late);
    } else {
      return true;
    }
  }
  return queue.ready_count == 0 && queue.delayed_count == 0;
}

bool Core::remove_some(const Queue& queue, uint64_t& freed) noexcept {
  if (!purge_some(queue, freed)) return false;
  uint32_t moved = 0;
  for (; queue.dead.first != 0 && moved < kBatch && !tx.failed(); ++moved) {
    free_task(pop_list(queue.dead));
    tx.edit(queue.dead_count) -= 1;
  }
  for (const uint64_t list : {queue.consumers, queue.helpers}) {
    for (uint64_t next = list; next != 0 && moved < kBatch; next = tx.view<Holder>(next).next) {
      const Holder& holder = tx.view<Holder>(next);
      for (; holder.leases != 0 && moved < kBatch && !tx.failed(); ++moved) {
        const uint64_t task = holder.leases;
        tree::remove(tx, holder.leases, task, tree::by_number);
        tx.edit(holder.lease_count) -= 1;
        tx.edit(queue.leased_count) -= 1;
        free_task(task);
      }
    }
  }
  if (moved == kBatch || tx.failed()) return false;
  wakes.wanted = wakes.count + sleepers(queue);
  if (wakes.wanted > wakes.ids.size()) return false;
  // The holders go with the queue, in one piece: who finds one finds its queue.
  for (const uint64_t list : {queue.consumers, queue.helpers}) {
    for (uint64_t next = list; next != 0; next = tx.view<Holder>(next).next) {
      const uint32_t waiter = tx.view<Holder>(next).waiter;  // it looks again, and finds the queue gone
      if (waiter != 0) wakes.add(waiter);
      tx.free(next);
    }
  }
  remove_named(tx, name.shard, tx.offset_of(&queue));
  return !tx.failed();
}

}  // namespace shoal::queues
