// SPDX-License-Identifier: MIT
#include "queues/tree.h"

namespace shoal::tree {

using shm::Task;

void insert(Transaction& tx, const uint64_t& root, uint64_t task, Less less) noexcept {
  const Task& node = tx.view<Task>(task);
  const uint64_t* link = &root;
  while (*link != 0 && rank(tx.view<Task>(*link)) >= rank(node)) {
    const Task& parent = tx.view<Task>(*link);
    link = less(node, parent) ? &parent.left : &parent.right;
  }
  // The subtree that hangs here is cut in two along the new task's place; the halves become its children.
  uint64_t rest = *link;
  tx.edit(*link) = task;
  const uint64_t* smaller = &node.left;
  const uint64_t* greater = &node.right;
  while (rest != 0) {
    const Task& cut = tx.view<Task>(rest);
    const uint64_t*& side = less(cut, node) ? smaller : greater;
    const uint64_t* next = less(cut, node) ? &cut.right : &cut.left;
    if (*side != rest) tx.edit(*side) = rest;
    side = next;
    rest = *next;
  }
  tx.edit(*smaller) = 0;
  tx.edit(*greater) = 0;
}

void remove(Transaction& tx, const uint64_t& root, uint64_t task, Less less) noexcept {
  const Task& node = tx.view<Task>(task);
  const uint64_t* link = &root;
  while (*link != task) {
    if (*link == 0) {  // an insert before it found no journal: the transaction is undone anyway
      SHOAL_ASSERT(tx.failed());
      return;
    }
    const Task& parent = tx.view<Task>(*link);
    link = less(node, parent) ? &parent.left : &parent.right;
  }
  // Its children are merged in its place.
  uint64_t smaller = node.left, greater = node.right;
  while (smaller != 0 && greater != 0) {
    const bool left_wins = rank(tx.view<Task>(smaller)) > rank(tx.view<Task>(greater));
    uint64_t& winner = left_wins ? smaller : greater;
    const Task& chosen = tx.view<Task>(winner);
    if (*link != winner) tx.edit(*link) = winner;
    link = left_wins ? &chosen.right : &chosen.left;
    winner = *link;
  }
  tx.edit(*link) = smaller != 0 ? smaller : greater;
}

uint64_t first(const Segment& segment, uint64_t root) noexcept {
  uint64_t task = root;
  while (task != 0) {
    const uint64_t left = segment.pointer<Task>(task)->left;
    if (left == 0) break;
    task = left;
  }
  return task;
}

uint64_t find(const Segment& segment, uint64_t root, uint64_t number) noexcept {
  uint64_t task = root;
  while (task != 0) {
    const Task& node = *segment.pointer<Task>(task);
    if (node.number == number) return task;
    task = number < node.number ? node.left : node.right;
  }
  return 0;
}

}  // namespace shoal::tree
