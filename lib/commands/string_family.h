// SPDX-License-Identifier: MIT
// string_family.h: what the commands of strings and of bitmaps have in common.
#pragma once

#include "commands/command.h"
#include "keyspace/string_value.h"
#include "types/string.h"

namespace shoal {

// The live entry if it is a string; `wrong` if it is something else (answered).
inline const shm::Entry* as_string(Call& call, const shm::Entry* entry, bool& wrong) noexcept {
  wrong = entry != nullptr && entry->type() != Type::kString;
  if (wrong) call.error(kWrongType);
  return wrong ? nullptr : entry;
}

// The key holds `value` afterwards; nullptr when the segment is full.
inline const shm::Entry* store_string(Call& call, const Key& key, const shm::Entry* existing, Bytes value,
                                      int64_t expires_ms) noexcept {
  call.tx().set_home(key.shard);
  return keyspace::set_string(call.tx(), key, existing, value, expires_ms);
}

}  // namespace shoal
