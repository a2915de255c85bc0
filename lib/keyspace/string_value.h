// SPDX-License-Identifier: MIT
// string_value.h: giving a key a string, growing one, and what an integer or float command needs.
// Under the lock of the key's shard, in a transaction whose home is that shard; dies at any line: undone.
#pragma once

#include "keyspace/keyspace.h"
#include "types/string.h"

namespace shoal::keyspace {

// The key holds `value` afterwards, whatever it held. Its expiry becomes expires_ms (0: none; kKeepExpiry: as it was).
// The entry, or nullptr when the segment is full.
inline constexpr int64_t kKeepExpiry = -1;
const shm::Entry* set_string(Transaction& tx, const Key& key, const shm::Entry* existing, Bytes value,
                             int64_t expires_ms) noexcept;

// What most SETs are: a value as long as the one before, under a name of at most kPlainNameBytesMax bytes in the first
// bucket of its hash, and no expiry before or after. False: it is not that, and nothing has changed.
// Edit: a Transaction or a SingleEdit that has the lock of the key's shard.
template <typename Edit>
[[gnu::always_inline]] inline bool overwrite_plain(Edit& edit, const Key& key, Bytes value) noexcept {
  if (key.name.size() > kPlainNameBytesMax) return false;
  const uint64_t item = Dict::find_by_tag(edit.segment(), edit.shard(key.shard).keys, key.hash);
  if (item == 0) return false;
  const auto& entry = *edit.segment().template pointer<shm::Entry>(item);
  const uint64_t same_kind = EntryMeta::plain_string(key.database, key.name.size()) | uint64_t{value.size()} << 32;
  const auto* name = reinterpret_cast<const char*>(&entry + 1);
  if (entry.meta.load() != same_kind || !same_bytes(name, key.name.data(), key.name.size())) return false;
  // One record for all of the entry: cheaper than one for its version and one for the value behind the name.
  const uint64_t value_at = sizeof entry + round_up(key.name.size(), 8);
  std::byte* place = edit.edit_words(&entry, (value_at + value.size() + 7) / 8);
  if (place == nullptr) return false;
  reinterpret_cast<shm::Entry*>(place)->version = edit.version(key.shard);
  copy_short(place + value_at, value);
  return true;
}

// The same for a value that fill(from, char* place, bytes) writes part by part, in their order and before the old value
// goes: it may be read from.
template <typename Fill>
const shm::Entry* set_filled(Transaction& tx, const Key& key, const shm::Entry* existing, uint64_t bytes,
                             int64_t expires_ms, Fill&& fill) noexcept;

// Overwrites `value` at `offset` of a string (zero bytes fill a gap), or appends with offset = its length.
const shm::Entry* write_range(Transaction& tx, const Key& key, const shm::Entry& entry, uint64_t offset,
                              Bytes value) noexcept;

// Parts of set_filled().
bool fits_inline(const Key& key, uint64_t value_bytes) noexcept;
const shm::Entry* set_blob(Transaction& tx, const Key& key, const shm::Entry* existing, const shm::BlobRoot& blob,
                           int64_t expires_ms) noexcept;

template <typename Fill>
const shm::Entry* set_filled(Transaction& tx, const Key& key, const shm::Entry* existing, uint64_t bytes,
                             int64_t expires_ms, Fill&& fill) noexcept {
  tx.set_home(key.shard);
  if (fits_inline(key, bytes)) {
    char value[string::kInlineEntryMax];
    fill(uint64_t{0}, value, bytes);
    return set_string(tx, key, existing, {value, bytes}, expires_ms);
  }
  const shm::BlobRoot blob = string::fill_blob(tx, bytes, fill);
  return blob.first == 0 ? nullptr : set_blob(tx, key, existing, blob, expires_ms);
}

}  // namespace shoal::keyspace
