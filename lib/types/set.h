// SPDX-License-Identifier: MIT
// set.h: sets: a dict of member blocks.
//
//   SetRoot = DictRoot --> slots --> | bytes u32 | member ... |
//
// All under the lock of the key's shard, through a Transaction. Adding journals the slot, the counts and the
// allocator's words;
// removing needs no memory. Dies at any line: undone.
#pragma once

#include "transaction/transaction.h"
#include "types/dict.h"
#include "types/type.h"
#include "types/type_table.h"

namespace shoal {

namespace shm {
struct SetRoot {
  DictRoot members;
};
SHOAL_SHM_RECORD(SetRoot, 24);
struct SetMember {
  uint32_t bytes;  // of what follows
};
SHOAL_SHM_RECORD(SetMember, 4);
}  // namespace shm

template <>
struct RootOf<shm::SetRoot> {
  static constexpr Type type = Type::kSet;
};

namespace set {

inline Bytes member_at(const Segment& segment, uint64_t member) noexcept {
  const auto* block = segment.pointer<shm::SetMember>(member);
  return {reinterpret_cast<const char*>(block + 1), block->bytes};
}
inline uint64_t count(const shm::SetRoot& root) noexcept { return root.members.count; }
bool contains(const Segment& segment, const shm::SetRoot& root, Bytes member) noexcept;

enum class Added : uint8_t { kNo, kYes, kNoMemory };
Added add(Transaction& tx, const shm::SetRoot& root, Bytes member) noexcept;
bool remove(Transaction& tx, const shm::SetRoot& root, Bytes member) noexcept;  // false: was not there
// Takes out the member that lies at the offset; its bytes stay readable until the commit.
void remove_at(Transaction& tx, const shm::SetRoot& root, uint64_t member) noexcept;

template <typename Visit>
void for_each(const Segment& segment, const shm::SetRoot& root, Visit&& visit) noexcept {
  Dict::for_each(segment, root.members, [&](uint64_t member) { visit(member_at(segment, member)); });
}

extern const TypeRow kRow;

}  // namespace set
}  // namespace shoal
