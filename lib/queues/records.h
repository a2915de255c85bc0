// SPDX-License-Identifier: MIT
// records.h: what the queues layer keeps in a segment. All of it is guarded by the lock of the shard that the queue's
// (the
// exchange's) name hashes to, changed through a Transaction only, and never read without the lock.
//
//   Shard::queues --name--> Queue --> ready[priority]   list of tasks, in the order of their numbers
//                            |  \---> returned          tree of tasks that came back, by (priority, number)
//                            |   \--> delayed           tree by (due, number)
//                            |    \-> dead              list: started too often
//                            |--> consumers: Holder --> leases: tree of tasks by number
//                            \--> helpers:   Holder --> leases of tasks whose first owner is gone
//   Shard::queues --name--> Exchange --> Binding --> Binding ...
//
// A task is in exactly one of these places. A tree is a treap: a search tree whose nodes also form a heap over a hash
// of
// their number, so its depth is logarithmic without any balance to keep (tree.h).
#pragma once

#include <cstdint>

#include "segment/shm_safe.h"

namespace shoal::shm {

inline constexpr uint32_t kPriorityCount = 10;  // 0 is served first

enum class NamedKind : uint8_t { kQueue = 1, kExchange = 2 };

// The head of what is found by name: the same name may be a queue and an exchange, in each database.
struct Named {
  uint64_t hash;
  uint32_t name_bytes;  // the name follows the record
  NamedKind kind;
  uint8_t database;
  uint16_t reserved;
};
SHOAL_SHM_RECORD(Named, 16);

enum class TaskState : uint8_t { kReady = 1, kReturned = 2, kDelayed = 3, kLeased = 4, kDead = 5 };
inline constexpr uint8_t kTaskStarted = 1;      // the lease is `started`: this delivery counts
inline constexpr uint8_t kTaskRedelivered = 2;  // it was leased before

//   0         8       16     24      32      40       48     56      64            68      69         70      71
// 72
//   | number 8| time 8| left | right | lease | second | more | bytes | deliveries 4| state | priority | flags |
// finished | data ...
struct Task {
  uint64_t number;       // its place in the order: unique in the shard, given when it becomes ready, kept on return
  uint64_t time_ms;      // wall clock: when it comes due, while delayed; when it was taken, while leased; else 0
  uint64_t left, right;  // children in its tree; in a list `right` is the next
  uint64_t lease;        // number of its last lease: an answer to an older one finds nothing
  uint64_t second;       // id of the helper that owns the lease too, 0 = none
  uint64_t more;         // first Piece of the data that does not fit into this block
  uint64_t bytes;        // of data in all
  uint32_t deliveries;   // started, and not brought to an orderly end
  TaskState state;
  uint8_t priority;
  uint8_t flags;
  uint8_t finished;  // 1 + Outcome, told by the helper while the first owner has not answered yet; 0 = not told
};
SHOAL_SHM_RECORD(Task, 72);

struct Piece {
  uint64_t next;
  uint64_t bytes;  // data follows
};
SHOAL_SHM_RECORD(Piece, 16);

struct TaskList {
  uint64_t first, last;
};
SHOAL_SHM_RECORD(TaskList, 16);

struct Queue {
  Named head;
  uint64_t incarnation;     // unique in the shard: a queue that was deleted and made anew is another one
  uint64_t max_length;      // ready and delayed tasks; 0 = no bound
  uint32_t max_deliveries;  // a task that was started so often and lost its owners is dead
  uint8_t drop_head;        // full: 1 = the first ready task goes, 0 = the push is refused
  uint8_t auto_delete;      // goes with its last consumer
  uint8_t had_consumer;
  uint8_t reserved;
  uint64_t expires_ms;  // unused for so long: may be deleted; 0 = never
  uint64_t used_ms;     // wall clock of the last use, kept while expires_ms is set
  TaskList ready[kPriorityCount];
  uint64_t returned, delayed;  // roots
  TaskList dead;
  uint64_t ready_count;  // lists and returned
  uint64_t delayed_count, leased_count, dead_count;
  uint64_t consumers, helpers;           // first holders
  uint64_t waiting_first, waiting_last;  // consumers that sleep for a task, first come first served
  uint64_t pushed, acknowledged;         // totals, for people
};
SHOAL_SHM_RECORD(Queue, 328);

// Who holds leases of one queue: a consumer handle of a process (handle != 0), or a process that runs tasks that others
// took (a helper, handle 0). Found by walking the queue's short list.
struct Holder {
  uint64_t id;               // unique in the shard
  uint64_t slot_generation;  // of the process
  uint64_t handle;
  uint64_t queue;
  uint64_t next, previous;
  uint64_t leases;  // root
  uint64_t lease_count;
  uint64_t next_waiting, previous_waiting;
  uint32_t slot;
  // id of the context that sleeps for it: it stands in the queue's waiting list; 0 = it does not
  uint32_t waiter;
};
SHOAL_SHM_RECORD(Holder, 88);

struct Exchange {
  Named head;
  uint64_t bindings;  // first
  uint64_t count;
};
SHOAL_SHM_RECORD(Exchange, 32);

struct Binding {
  uint64_t next;
  uint64_t incarnation;  // of the queue: a binding outlives its queue until somebody meets it
  uint32_t key_bytes, pattern_bytes, queue_bytes, reserved;  // the three follow
};
SHOAL_SHM_RECORD(Binding, 32);

}  // namespace shoal::shm
