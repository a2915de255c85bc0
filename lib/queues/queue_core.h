// SPDX-License-Identifier: MIT
// queue_core.h: the steps that operations on a queue are made of. Under the shard's lock, in a transaction.
// What a step leaves half-done when it fails for lack of memory the transaction undoes: a caller asks tx.failed()
// before it
// relies on what a step did.
#pragma once

#include "queues/directory.h"
#include "queues/task_queue.h"
#include "queues/tree.h"

namespace shoal::queues {

struct Core {
  Transaction& tx;
  Wakes& wakes;
  const Name& name;

  const shm::Queue* find() const noexcept;
  // Finds or makes it; nullptr when the segment is full.
  const shm::Queue* ensure(const QueueOptions& options = {}) noexcept;
  const shm::Queue& queue_at(uint64_t offset) const noexcept { return tx.view<shm::Queue>(offset); }
  const shm::Task& task_at(uint64_t offset) const noexcept { return tx.view<shm::Task>(offset); }

  // Makes a task of it and puts that into its place, past the length that the queue may have only by dropping its head,
  // and wakes a consumer. false: the queue refuses it, or the segment is full; then nothing that counts was done.
  bool push(const shm::Queue& queue, const NewTask& task, uint64_t now_ms) noexcept;

  // A task of its own block, in no place yet; 0 when the segment is full.
  uint64_t create_task(Bytes data, uint32_t priority) noexcept;
  void free_task(uint64_t task) noexcept;

  // Gives it a new number and puts it behind its priority's list.
  void append(const shm::Queue& queue, uint64_t task) noexcept;
  void delay(const shm::Queue& queue, uint64_t task, uint64_t due_ms) noexcept;
  // Puts it back where its number says.
  void give_back(const shm::Queue& queue, uint64_t task) noexcept;
  void bury(const shm::Queue& queue, uint64_t task) noexcept;

  // Moves up to kBatch tasks that have come due to the ready ones.
  void promote(const shm::Queue& queue, uint64_t now_ms) noexcept;
  // Offset of the first ready task, 0 if none; and taking it out of its place.
  uint64_t peek(const shm::Queue& queue) const noexcept;
  void unlink_first(const shm::Queue& queue, uint64_t task) noexcept;
  // Earliest due time of the delayed tasks, 0 if none.
  uint64_t next_due(const shm::Queue& queue) const noexcept;

  // Wakes the consumer that has waited longest, if one waits.
  void wake_one(const shm::Queue& queue) noexcept;
  void stop_waiting(const shm::Queue& queue, const shm::Holder& holder) noexcept;
  // A consumer goes away that may have been woken for something: the next one's turn.
  void pass_turn(const shm::Queue& queue) noexcept;
  void touch(const shm::Queue& queue, uint64_t now_ms) noexcept;

  // Frees up to kBatch ready and delayed tasks; true when none is left.
  bool purge_some(const shm::Queue& queue, uint64_t& freed) noexcept;
  // The same for all tasks and holders, and at last the queue itself: true when it is gone. False as well when there
  // is no room for all who are to be woken then: Wakes::wanted.
  bool remove_some(const shm::Queue& queue, uint64_t& freed) noexcept;

 private:
  uint32_t sleepers(const shm::Queue& queue) const noexcept;
  void push_list(const shm::TaskList& list, uint64_t task) noexcept;
  uint64_t pop_list(const shm::TaskList& list) noexcept;
  uint64_t create_pieces(Bytes data) noexcept;
};

// The bytes of a task, into `target` of task.bytes.
void copy_data(const Segment& segment, const shm::Task& task, char* target) noexcept;

}  // namespace shoal::queues
