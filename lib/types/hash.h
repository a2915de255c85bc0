// SPDX-License-Identifier: MIT
// hash.h: hashes: a dict of blocks that hold a field and its value.
//
//   HashRoot = DictRoot, ... --> slots --> | field_bytes u32 | value_bytes u32 | field ... | value ... |
//   a value longer than kInsideMax is a blob: value_bytes = kBlobValue, and its BlobRoot stands in its place
//
// All under the lock of the key's shard, through a Transaction. A short value is overwritten where it lies if it fits;
// a longer one
// gets a new block and one store to its slot. Dies at any line: undone.
#pragma once

#include "transaction/transaction.h"
#include "types/dict.h"
#include "types/set.h"
#include "types/stored_bytes.h"
#include "types/type.h"
#include "types/type_table.h"

namespace shoal {

namespace shm {
struct HashRoot {
  DictRoot fields;
  uint64_t pieces;  // blocks of the blobs among the values
};
SHOAL_SHM_RECORD(HashRoot, 32);
struct HashField {
  uint32_t field_bytes;
  uint32_t value_bytes;
};
SHOAL_SHM_RECORD(HashField, 8);
}  // namespace shm

template <>
struct RootOf<shm::HashRoot> {
  static constexpr Type type = Type::kHash;
};

namespace hash {

inline constexpr uint64_t kInsideMax = 1024;
inline constexpr uint32_t kBlobValue = ~0u;

inline Bytes field_at(const Segment& segment, uint64_t field) noexcept {
  const auto* block = segment.pointer<shm::HashField>(field);
  return {reinterpret_cast<const char*>(block + 1), block->field_bytes};
}
StoredBytes value_at(const Segment& segment, uint64_t field) noexcept;
inline uint64_t count(const shm::HashRoot& root) noexcept { return root.fields.count; }

// Where the field lies, 0 = not there.
uint64_t find(const Segment& segment, const shm::HashRoot& root, Bytes field) noexcept;

enum class Stored : uint8_t { kNew, kReplaced, kNoMemory };
Stored store(Transaction& tx, const shm::HashRoot& root, Bytes field, Bytes value) noexcept;
bool remove(Transaction& tx, const shm::HashRoot& root, Bytes field) noexcept;  // false: was not there

// f(Bytes field, StoredBytes value)
template <typename Visit>
void for_each(const Segment& segment, const shm::HashRoot& root, Visit&& visit) noexcept {
  Dict::for_each(segment, root.fields, [&](uint64_t item) { visit(field_at(segment, item), value_at(segment, item)); });
}

extern const TypeRow kRow;

}  // namespace hash
}  // namespace shoal
