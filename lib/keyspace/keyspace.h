// SPDX-License-Identifier: MIT
// keyspace.h: from a key to its entry. 16 databases share each shard's dict; the database is part of the hash and of
// the entry, so `SELECT` costs nothing.
//
// Everything but find_snapshot() runs under the lock of the key's shard. A key whose time has come is missing for
// readers and is deleted by the next writer who meets it (or by the daemon).
// Dies at any line: undone with the transaction.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/hash.h"
#include "transaction/transaction.h"
#include "types/dict.h"
#include "types/type.h"
#include "types/type_table.h"

namespace shoal {

struct Key {
  Bytes name;
  uint64_t hash = 0;
  uint32_t shard = 0;
  uint8_t database = 0;
};

namespace keyspace {

// Longer names are left to the general paths by those for the usual case.
inline constexpr uint64_t kPlainNameBytesMax = 256;

inline Key make_key(const Segment& segment, uint32_t database, Bytes name) noexcept {  // name: at most kNameBytesMax
  const uint64_t hash = hash_bytes(name, segment.header().hash_seed + database * 0x9e3779b97f4a7c15u);
  return {name, hash, segment.shard_of(hash), static_cast<uint8_t>(database)};
}

// Removes key and value; large values are left to lazy freeing.
void remove(Transaction& tx, const Key& key, const shm::Entry& entry) noexcept;

// The entry, whether its time has come or not; nullptr if there is none.
const shm::Entry* find(const Segment& segment, const Key& key) noexcept;
inline bool expired(const shm::Entry& entry, int64_t now_ms) noexcept {
  const int64_t expires = entry.expires_ms();
  return expires != 0 && expires <= now_ms;
}
// The live entry or nullptr. `find_for_write` deletes an expired one. `now` gives the wall clock; a key that never
// expires does not ask it, since the clock costs as much as the look-up.
template <typename Now>
const shm::Entry* find_for_read(const Segment& segment, const Key& key, Now&& now) noexcept {
  const shm::Entry* entry = find(segment, key);
  return entry == nullptr || entry->expires_ms() == 0 || !expired(*entry, now()) ? entry : nullptr;
}
template <typename Now>
const shm::Entry* find_for_write(Transaction& tx, const Key& key, Now&& now) noexcept {
  const shm::Entry* entry = find(tx.segment(), key);
  if (entry == nullptr || entry->expires_ms() == 0 || !expired(*entry, now())) return entry;
  remove(tx, key, *entry);
  return nullptr;
}

// A new entry under a key that has none, with room for an expiry word if asked. Its value area of `value_bytes` is
// undefined: fill it through fresh_value() in the same transaction. nullptr when the segment is full.
const shm::Entry* create(Transaction& tx, const Key& key, Type type, Encoding encoding, uint32_t value_bytes,
                         bool with_expiry = false) noexcept;
std::byte* fresh_value(Transaction& tx, const shm::Entry& entry) noexcept;
// Replaces the entry by a copy with another size of value (the first bytes are kept) and room for an expiry word if
// asked.
// The new entry; nullptr when the segment is full.
const shm::Entry* resize(Transaction& tx, const Key& key, const shm::Entry& entry, uint32_t value_bytes,
                         bool with_expiry) noexcept;

// Moves the value under another key, which has no entry, of any shard or database whose lock is held.
void rename(Transaction& tx, const Key& from, const shm::Entry& entry, const Key& to) noexcept;
// Gives another key, which has no entry, a copy of the value with the same expiry; both shards' locks are held.
// nullptr when the segment is full.
const shm::Entry* copy(Transaction& tx, const shm::Entry& entry, const Key& to) noexcept;
// Removes all keys of all databases from a shard: a few words, however many they are. Their own blocks are all
// the memory that it needs, if one of them is large enough for a grave (40 bytes).
void remove_all(Transaction& tx, uint32_t shard) noexcept;
// Removes all keys of a database from a shard. The same if it has no others; else it takes them out one by one.
void remove_database(Transaction& tx, uint32_t shard, uint32_t database) noexcept;

// The entry changed: WATCHers will see it.
void touch(Transaction& tx, const Key& key, const shm::Entry& entry) noexcept;
// expires_ms = 0: never. May move the entry; returns where it is, nullptr when the segment is full.
const shm::Entry* set_expiry(Transaction& tx, const Key& key, const shm::Entry& entry, int64_t expires_ms) noexcept;

// What WATCH remembers of a key: its entry's version, or kAbsent and that of the last key of its hash that came to be.
// A key that goes (is removed, flushed, expires) therefore differs from what it was, and one that was not there only if
// it or one of its hash came in the meantime: removals note nothing.
inline constexpr uint64_t kAbsent = uint64_t{1} << 63;
uint64_t version(const Segment& segment, const Key& key, int64_t now_ms) noexcept;

// What was removed and is freed bit by bit: a chain of entries from Shard::lazy_free on, linked by their version words.
// The tag of one that holds a whole dict of keys (remove_all):
inline constexpr auto kDictGrave = static_cast<Type>(15);

// Frees a few blocks of what was removed lazily in this shard. True if there is more.
bool free_lazily(Transaction& tx, uint32_t shard, uint32_t budget) noexcept;
inline bool has_lazy_frees(const shm::Shard& shard) noexcept { return shard.lazy_free != 0; }
void free_a_little_under_its_name(Transaction& tx) noexcept;
// Each writer frees a little of what was removed lazily where it is at home.
inline void free_a_little(Transaction& tx) noexcept {
  if (__builtin_expect(has_lazy_frees(tx.shard(tx.home())), 0)) free_a_little_under_its_name(tx);
}

// Hash of an entry that lies in the segment, for the dict.
uint64_t entry_hash(const Segment& segment, uint64_t entry) noexcept;

}  // namespace keyspace
}  // namespace shoal
