// SPDX-License-Identifier: MIT
// sorted_set.h: sorted sets. One block an element, in two orders: a dict by member, and a skip list by (score, member)
// whose links know
// how many elements they pass, so ranks are found on the way.
//
//   SortedSetRoot --members--> dict by member ------> nodes
//                 --head-----> | levels ... links | -> nodes in order -> ... <-- tail
//   node: | score | previous | member_bytes levels | link{next, span} x levels | member ... |
//
// The level of a node follows from the hash of its member: the same run gives the same bytes. The head grows by being
// replaced:
// only the root points at it (the first node's `previous` is 0).
//
// Invariants (check): nodes ascend strictly by (score, member); `previous` agrees; level l links the nodes with more
// than l
// levels; spans are distances of ranks, in last links up to the end; the dict holds exactly the nodes of level 0.
//
// A range is always a range of ranks: [rank of the first inside, rank of the first behind). All under the lock of the
// key's
// shard, through a Transaction. A removal needs no memory. Dies at any line: undone.
#pragma once

#include "transaction/transaction.h"
#include "types/dict.h"
#include "types/set.h"
#include "types/type.h"
#include "types/type_table.h"

namespace shoal {

namespace shm {
struct SortedSetRoot {
  DictRoot members;
  uint64_t head;         // SkipHead, 0 = none yet
  uint64_t tail;         // last node, 0 = empty
  uint32_t levels;       // in use
  uint32_t head_levels;  // room in the head
};
SHOAL_SHM_RECORD(SortedSetRoot, 48);
struct SkipLink {
  uint64_t next;  // 0 = none
  uint64_t span;  // ranks from here to next, or to the last node
};
SHOAL_SHM_RECORD(SkipLink, 16);
struct SortedSetNode {
  double score;
  uint64_t previous;  // 0 = first
  uint32_t member_bytes;
  uint32_t levels;

  const SkipLink* links() const noexcept { return reinterpret_cast<const SkipLink*>(this + 1); }
  Bytes member() const noexcept { return {reinterpret_cast<const char*>(links() + levels), member_bytes}; }
};
SHOAL_SHM_RECORD(SortedSetNode, 24);
}  // namespace shm

template <>
struct RootOf<shm::SortedSetRoot> {
  static constexpr Type type = Type::kSortedSet;
};

namespace sorted_set {

inline constexpr uint32_t kLevelsMax = 16;

using Node = shm::SortedSetNode;

inline const Node& node_at(const Segment& segment, uint64_t node) noexcept { return *segment.pointer<Node>(node); }
inline uint64_t count(const shm::SortedSetRoot& root) noexcept { return root.members.count; }

// Where the member's node lies, 0 = not there.
uint64_t find(const Segment& segment, const shm::SortedSetRoot& root, Bytes member) noexcept;
// 0-based; the node is in the set.
uint64_t rank(const Segment& segment, const shm::SortedSetRoot& root, uint64_t node) noexcept;
// The node of a rank, 0 behind the last.
uint64_t at_rank(const Segment& segment, const shm::SortedSetRoot& root, uint64_t rank) noexcept;
inline uint64_t next(const Segment& segment, uint64_t node) noexcept { return node_at(segment, node).links()[0].next; }
inline uint64_t previous(const Segment& segment, uint64_t node) noexcept { return node_at(segment, node).previous; }

// How many nodes lie before the first one for which `before(node)` is false; before() must be true, then false along
// the order.
template <typename Before>
uint64_t count_before(const Segment& segment, const shm::SortedSetRoot& root, Before&& before) noexcept {
  uint64_t rank = 0;
  const shm::SkipLink* links = root.head == 0 ? nullptr : segment.pointer<shm::SkipLink>(root.head);
  for (uint32_t level = root.levels; level-- > 0;) {
    while (links[level].next != 0 && before(node_at(segment, links[level].next))) {
      rank += links[level].span;
      links = node_at(segment, links[level].next).links();
    }
  }
  return rank;
}

// Adds a member that is not there. False when memory ran out.
bool add(Transaction& tx, const shm::SortedSetRoot& root, Bytes member, double score) noexcept;
// Gives the node another score, and its place by it.
void set_score(Transaction& tx, const shm::SortedSetRoot& root, uint64_t node, double score) noexcept;
// Its member stays readable until the commit.
void remove(Transaction& tx, const shm::SortedSetRoot& root, uint64_t node) noexcept;

extern const TypeRow kRow;

}  // namespace sorted_set
}  // namespace shoal
