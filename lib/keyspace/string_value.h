// SPDX-License-Identifier: MIT
// string_value.h: giving a key a string, growing one, and what an integer or float command needs.
// Under the lock of the key's shard, in a transaction whose home is that shard; dies at any line: undone.
#pragma once

#include "keyspace/keyspace.h"

namespace shoal::keyspace {

// The key holds `value` afterwards, whatever it held. Its expiry becomes expires_ms (0: none; kKeepExpiry: as it was).
// The entry, or nullptr when the segment is full.
inline constexpr int64_t kKeepExpiry = -1;
const shm::Entry* set_string(Transaction& tx, const Key& key, const shm::Entry* existing, Bytes value,
                             int64_t expires_ms) noexcept;

// Overwrites `value` at `offset` of a string (zero bytes fill a gap), or appends with offset = its length.
const shm::Entry* write_range(Transaction& tx, const Key& key, const shm::Entry& entry, uint64_t offset,
                              Bytes value) noexcept;

}  // namespace shoal::keyspace
