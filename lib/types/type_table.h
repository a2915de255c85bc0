// SPDX-License-Identifier: MIT
// type_table.h: one row of operations a type. Nobody writes `switch (type)` elsewhere: a new type adds its file, its
// row, its commands and its tests.
#pragma once

#include <cstdint>

#include "transaction/transaction.h"
#include "types/type.h"

namespace shoal {

// Receives every block (offset) that a value owns beside its entry, for check and accounting. False: stop, damage
// found.
using VisitBlock = bool (*)(void* context, uint64_t block) noexcept;

// Values of up to this many blocks are freed at once; others a few blocks at a time by later writers and the daemon.
inline constexpr uint64_t kFreeAtOnceBlocks = 8;

struct TypeRow {
  Type type;
  const char* name;     // what TYPE answers
  uint32_t root_bytes;  // of the root record in the entry; 0 for strings
  // Roughly how many blocks destroy would free; of more than kFreeAtOnceBlocks it need not say how many more.
  uint64_t (*blocks)(const Segment& segment, const shm::Entry& entry) noexcept;
  // Frees up to `budget` blocks of the value, not the entry's own. True when nothing is left. May be called again
  // later.
  bool (*destroy)(Transaction& tx, const shm::Entry& entry, uint32_t budget) noexcept;
  // Visits every block of the value. False if a visit said so or the structure is broken (lengths, order, counts).
  bool (*check)(const Segment& segment, const shm::Entry& entry, VisitBlock visit, void* context) noexcept;
  // Gives a new entry, whose value area `value` is a bytewise copy of this one's, blocks of its own. False: no memory.
  bool (*copy)(Transaction& tx, const shm::Entry& from, std::byte* value) noexcept;
  // What OBJECT ENCODING answers.
  const char* (*encoding)(const Segment& segment, const shm::Entry& entry) noexcept;
};

// nullptr for a tag that no type has.
const TypeRow* type_row(Type type) noexcept;

}  // namespace shoal
