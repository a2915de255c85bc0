// SPDX-License-Identifier: MIT
// tree.h: tasks in order: a treap through their `left` and `right`. The heap order is by a hash of the number, which
// does
// not change while a task is in a tree; so the shape depends on the numbers alone and the depth is O(log n) of them.
//
// Under the shard's lock. Changes go through the transaction: about four words an operation. Dies at any line: undone.
#pragma once

#include <cstdint>

#include "queues/records.h"
#include "transaction/transaction.h"

namespace shoal::tree {

// Which task comes first. Numbers are unique, so no two are equal.
using Less = bool (*)(const shm::Task& a, const shm::Task& b) noexcept;

inline bool by_number(const shm::Task& a, const shm::Task& b) noexcept { return a.number < b.number; }
inline bool by_priority(const shm::Task& a, const shm::Task& b) noexcept {
  return a.priority != b.priority ? a.priority < b.priority : a.number < b.number;
}
inline bool by_due(const shm::Task& a, const shm::Task& b) noexcept {
  return a.time_ms != b.time_ms ? a.time_ms < b.time_ms : a.number < b.number;
}

inline uint64_t rank(const shm::Task& task) noexcept {  // splitmix64
  uint64_t x = task.number + 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

void insert(Transaction& tx, const uint64_t& root, uint64_t task, Less less) noexcept;
// `task` is in the tree.
void remove(Transaction& tx, const uint64_t& root, uint64_t task, Less less) noexcept;
// Offset of the first task, 0 if empty.
uint64_t first(const Segment& segment, uint64_t root) noexcept;
// In a tree by_number: the task of this number, 0 if it is not there.
uint64_t find(const Segment& segment, uint64_t root, uint64_t number) noexcept;

}  // namespace shoal::tree
