// SPDX-License-Identifier: MIT
// list.h: lists. Doubly linked nodes of packed elements: pushing and popping at both ends is O(1), a walk to an index
// starts at
// the nearer end and skips nodes by their counts.
//
//   ListRoot --head--> [node] <-> [node] <-> [node] <--tail--
//   node: | previous | next | begin end count capacity | ... free ... | elements | ... free ... |
//                                                       0             begin      end           capacity
//   element: | length | bytes | length |   the length stands on both sides, mirrored, so a node is walked both ways
//     length < 0x80: one byte; up to kInsideMax: two, the outer one 0x80 | high bits; 0xff 0xff: the bytes are the
//     BlobRoot of a long element
//
// Invariants (check): no node is empty; previous and next agree; a node's elements fill [begin, end) exactly and are
// `count`;
// the root's count is the sum of the nodes' and its `blocks` the number of nodes and blob pieces.
//
// All under the lock of the key's shard, through a Transaction. Popping edits one word group of a node; a removal
// shifts the
// shorter side of its node and needs no memory; an insertion in the middle and a replacement by another size copy the
// node.
// Functions that need memory return false when there is none: the transaction has failed. Dies at any line: undone
// with it.
#pragma once

#include "transaction/transaction.h"
#include "types/stored_bytes.h"
#include "types/type.h"
#include "types/type_table.h"

namespace shoal {

namespace shm {
struct ListRoot {
  uint64_t head, tail;  // nodes, 0 = empty list
  uint64_t count;       // elements
  uint64_t blocks;      // nodes and pieces of long elements
};
SHOAL_SHM_RECORD(ListRoot, 32);
struct ListFill {       // what changes together
  uint32_t begin, end;  // of the elements in the node's bytes
  uint32_t count;
  uint32_t capacity;  // of the node's bytes, fixed
};
SHOAL_SHM_RECORD(ListFill, 16);
struct ListNode {
  uint64_t previous, next;
  ListFill fill;
};
SHOAL_SHM_RECORD(ListNode, 32);
}  // namespace shm

template <>
struct RootOf<shm::ListRoot> {
  static constexpr Type type = Type::kList;
};

namespace list {

inline constexpr uint64_t kInsideMax = 512;      // longer elements are blobs
inline constexpr uint64_t kNodeBytesMax = 2048;  // a whole node

enum class End : uint8_t { kHead, kTail };

// A place in the list: an element, or the end (node = 0). Any change of the list but the one that returned it ends its
// life.
struct Cursor {
  uint64_t node = 0;
  uint32_t at = 0;     // where its element begins in the node's bytes
  uint32_t index = 0;  // which element of the node it is
  bool is_end() const noexcept { return node == 0; }
};

Cursor seek(const Segment& segment, const shm::ListRoot& root, uint64_t index) noexcept;  // index < count
Cursor first(const Segment& segment, const shm::ListRoot& root) noexcept;
Cursor last(const Segment& segment, const shm::ListRoot& root) noexcept;
StoredBytes element(const Segment& segment, const Cursor& cursor) noexcept;
Cursor next(const Segment& segment, const Cursor& cursor) noexcept;  // from the last element: the end
// from the end: the last
Cursor previous(const Segment& segment, const shm::ListRoot& root, const Cursor& cursor) noexcept;

bool push(Transaction& tx, const shm::ListRoot& root, End end, Bytes bytes) noexcept;
// Pushes what pop() gave: a blob changes hands without a copy. Otherwise bytes are copied.
bool push_stored(Transaction& tx, const shm::ListRoot& root, End end, const StoredBytes& stored) noexcept;
// Takes the element out of a list that has one. Its blob belongs to the caller: release() it, or push it elsewhere.
StoredBytes pop(Transaction& tx, const shm::ListRoot& root, End end) noexcept;
// Removes `count` <= root.count elements at an end.
void drop(Transaction& tx, const shm::ListRoot& root, End end, uint64_t count) noexcept;

bool replace(Transaction& tx, const shm::ListRoot& root, const Cursor& at, Bytes bytes) noexcept;
bool insert(Transaction& tx, const shm::ListRoot& root, const Cursor& at, bool after, Bytes bytes) noexcept;
// Removes the element; the cursor of the one behind it, or the end.
Cursor erase(Transaction& tx, const shm::ListRoot& root, const Cursor& at) noexcept;

extern const TypeRow kRow;

}  // namespace list
}  // namespace shoal
