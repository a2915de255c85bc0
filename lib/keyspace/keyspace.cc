// SPDX-License-Identifier: MIT
#include "keyspace/keyspace.h"

#include <algorithm>
#include <cstring>

#include "transaction/size_class.h"

namespace shoal::keyspace {

namespace {

using shm::Entry;

const Dict::Slot* find_slot(const Segment& segment, const Key& key) noexcept {
  const uint64_t wanted = EntryMeta::identity(key.database, key.name.size());
  return Dict::find(segment, segment.shard(key.shard).keys, key.hash, [&](uint64_t item) {
    const auto& entry = *segment.pointer<Entry>(item);
    const uint64_t meta = entry.meta;
    if ((meta & EntryMeta::kIdentityMask) != wanted) return false;
    if (__builtin_expect(key.name.size() >= EntryMeta::kLongKey, 0)) return entry.key() == key.name;
    const char* name = reinterpret_cast<const char*>(&entry) + EntryMeta::unpack(meta).key_at();
    return same_bytes(name, key.name.data(), key.name.size());
  });
}

const Dict::Slot& slot_of(const Segment& segment, const Key& key, const Entry& entry) noexcept {
  const uint64_t offset = segment.offset_of(&entry);
  const Dict::Slot* slot =
      Dict::find(segment, segment.shard(key.shard).keys, key.hash, [offset](uint64_t item) { return item == offset; });
  SHOAL_ASSERT(slot != nullptr);
  return *slot;
}

void write_key(Entry& entry, const EntryMeta& meta, Bytes name) noexcept {
  char* place = reinterpret_cast<char*>(&entry) + meta.key_at();
  if (name.size() >= EntryMeta::kLongKey) {
    const uint64_t bytes = name.size();
    std::memcpy(place, &bytes, sizeof bytes);
    place += sizeof bytes;
  }
  copy_bytes(place, name);
}

// A block for an entry of this meta, with key and version written; not yet in the dict.
Entry* create_block(Transaction& tx, const Key& key, const EntryMeta& meta) noexcept {
  auto* entry = tx.create<Entry>(meta.bytes());
  if (entry == nullptr) return nullptr;
  entry->version = tx.version(key.shard);
  entry->meta = meta.pack();
  if (meta.has_expiry) const_cast<shm::Cell<uint64_t>&>(entry->expiry_word()) = 0;
  write_key(*entry, meta, key.name);
  return entry;
}

// The graveyard is a chain of entries linked by their version words, which nobody reads any more.
void bury(Transaction& tx, uint32_t shard, const Entry& entry) noexcept {
  tx.edit(entry.version) = tx.shard(shard).lazy_free;
  tx.edit(tx.shard(shard).lazy_free) = tx.offset_of(&entry);
}

// Frees value and entry, at once or lazily. The entry is out of the dict.
void dispose(Transaction& tx, uint32_t shard, const Entry& entry) noexcept {
  const TypeRow& row = *type_row(entry.type());
  if (row.blocks(tx.segment(), entry) > kFreeAtOnceBlocks) {
    bury(tx, shard, entry);
    return;
  }
  row.destroy(tx, entry, UINT32_MAX);
  tx.free(tx.offset_of(&entry));
}

void take_out(Transaction& tx, const Key& key, const Entry& entry) noexcept {
  const shm::Shard& shard = tx.shard(key.shard);
  Dict::remove(tx, shard.keys, key.hash, tx.offset_of(&entry));
  tx.edit(shard.database_keys[key.database]) -= 1;
  if (entry.expires_ms() != 0) tx.edit(shard.database_expires[key.database]) -= 1;
}

const shm::Cell<uint64_t>& created_version(const Segment& segment, const Key& key) noexcept {
  return segment.shard(key.shard).created[(key.hash >> 8) % shm::kCreatedCount];
}

// A key comes to be.
void put_in(Transaction& tx, const Key& key, const Entry& entry) noexcept {
  const shm::Shard& shard = tx.shard(key.shard);
  tx.edit(created_version(tx.segment(), key)) = tx.version(key.shard);
  Dict::insert(tx, shard.keys, key.hash, tx.offset_of(&entry), entry_hash);
  tx.edit(shard.database_keys[key.database]) += 1;
  if (entry.expires_ms() != 0) tx.edit(shard.database_expires[key.database]) += 1;
}

void note_next_expiry(Transaction& tx, uint32_t index, int64_t expires_ms) noexcept {
  const shm::Shard& shard = tx.shard(index);
  const auto expires = static_cast<uint64_t>(expires_ms);
  if (shard.next_expiry_ms == 0 || expires < shard.next_expiry_ms) tx.edit(shard.next_expiry_ms) = expires;
}

}  // namespace

uint64_t entry_hash(const Segment& segment, uint64_t offset) noexcept {
  const auto& entry = *segment.pointer<Entry>(offset);
  return make_key(segment, entry.info().database, entry.key()).hash;
}

const Entry* find(const Segment& segment, const Key& key) noexcept {
  const Dict::Slot* slot = find_slot(segment, key);
  return slot == nullptr ? nullptr : segment.pointer<Entry>(Dict::item_of(*slot));
}

const Entry* create(Transaction& tx, const Key& key, Type type, Encoding encoding, uint32_t value_bytes,
                    bool with_expiry) noexcept {
  EntryMeta meta;
  meta.has_expiry = with_expiry;
  meta.type = type;
  meta.encoding = encoding;
  meta.database = key.database;
  meta.key_bytes = EntryMeta::key_place_bytes(key.name.size());
  meta.value_bytes = value_bytes;
  const Entry* entry = create_block(tx, key, meta);
  if (entry == nullptr) return nullptr;
  put_in(tx, key, *entry);
  return tx.failed() ? nullptr : entry;
}

std::byte* fresh_value(Transaction& tx, const Entry& entry) noexcept {
  return tx.fresh(tx.offset_of(&entry)) + entry.info().value_at();
}

const Entry* resize(Transaction& tx, const Key& key, const Entry& entry, uint32_t value_bytes,
                    bool with_expiry) noexcept {
  EntryMeta meta = entry.info();
  const int64_t expires_ms = entry.expires_ms();
  const uint32_t kept = std::min(meta.value_bytes, value_bytes);
  const std::byte* old_value = entry.value();
  meta.has_expiry = meta.has_expiry || with_expiry;
  meta.value_bytes = value_bytes;
  Entry* moved = create_block(tx, key, meta);
  if (moved == nullptr) return nullptr;
  moved->version = entry.version.load();
  if (meta.has_expiry) const_cast<shm::Cell<uint64_t>&>(moved->expiry_word()) = static_cast<uint64_t>(expires_ms);
  std::memcpy(reinterpret_cast<std::byte*>(moved) + meta.value_at(), old_value, kept);
  tx.edit(slot_of(tx.segment(), key, entry)) = Dict::make_slot(key.hash, tx.offset_of(moved));
  tx.free(tx.offset_of(&entry));
  return tx.failed() ? nullptr : moved;
}

void remove(Transaction& tx, const Key& key, const Entry& entry) noexcept {
  take_out(tx, key, entry);
  dispose(tx, key.shard, entry);
}

void rename(Transaction& tx, const Key& from, const Entry& entry, const Key& to) noexcept {
  EntryMeta meta = entry.info();
  tx.set_home(to.shard);
  meta.database = to.database;
  meta.key_bytes = EntryMeta::key_place_bytes(to.name.size());
  Entry* moved = create_block(tx, to, meta);
  if (moved == nullptr) return;
  if (meta.has_expiry)
    const_cast<shm::Cell<uint64_t>&>(moved->expiry_word()) = static_cast<uint64_t>(entry.expires_ms());
  std::memcpy(reinterpret_cast<std::byte*>(moved) + meta.value_at(), entry.value(), meta.value_bytes);
  take_out(tx, from, entry);
  tx.free(tx.offset_of(&entry));
  put_in(tx, to, *moved);
  if (moved->expires_ms() != 0) note_next_expiry(tx, to.shard, moved->expires_ms());
}

const Entry* copy(Transaction& tx, const Entry& entry, const Key& to) noexcept {
  const EntryMeta meta = entry.info();
  tx.set_home(to.shard);
  const Entry* copied = create(tx, to, meta.type, meta.encoding, meta.value_bytes, entry.expires_ms() != 0);
  if (copied == nullptr) return nullptr;
  std::byte* value = fresh_value(tx, *copied);
  std::memcpy(value, entry.value(), meta.value_bytes);
  if (!type_row(meta.type)->copy(tx, entry, value)) return nullptr;
  return entry.expires_ms() == 0 ? copied : set_expiry(tx, to, *copied, entry.expires_ms());
}

void touch(Transaction& tx, const Key& key, const Entry& entry) noexcept {
  tx.edit(entry.version) = tx.version(key.shard);
}

const Entry* set_expiry(Transaction& tx, const Key& key, const Entry& entry, int64_t expires_ms) noexcept {
  const Entry* target = &entry;
  if (!entry.info().has_expiry) {
    if (expires_ms == 0) return target;
    target = resize(tx, key, entry, entry.info().value_bytes, true);
    if (target == nullptr) return nullptr;
  }
  const uint64_t& count = tx.shard(key.shard).database_expires[key.database];
  const bool had = target->expires_ms() != 0;
  if (had != (expires_ms != 0)) tx.edit(count) += had ? -1 : 1;
  tx.edit(target->expiry_word()) = static_cast<uint64_t>(expires_ms);
  if (expires_ms != 0) note_next_expiry(tx, key.shard, expires_ms);
  return target;
}

uint64_t version(const Segment& segment, const Key& key, int64_t now_ms) noexcept {
  const Entry* entry = find_for_read(segment, key, [now_ms] { return now_ms; });
  return entry == nullptr ? kAbsent | created_version(segment, key).load() : entry->version.load();
}

namespace {

// Disposes of up to `budget` entries of a buried dict; true when it is empty.
bool empty_dict_grave(Transaction& tx, uint32_t index, const Entry& grave, uint32_t budget) noexcept {
  const auto& root = grave.root<shm::DictRoot>();
  while (root.count.load() > 0 && budget-- > 0 && !tx.failed()) {
    const uint64_t item = Dict::last_item(tx, root);
    if (item == 0) break;  // the journal is full
    Dict::remove(tx, root, entry_hash(tx.segment(), item), item);
    dispose(tx, index, tx.view<Entry>(item));
  }
  return root.count.load() == 0;
}

constexpr uint64_t kGraveBytes = sizeof(Entry) + sizeof(shm::DictRoot);

// The key whose block is to be the grave of all others of its shard: large enough, and its value is freed at once, with
// the least to free. nullptr if there is none among the first.
const Entry* key_for_grave(Transaction& tx, const shm::DictRoot& keys) noexcept {
  constexpr uint32_t kLookedAt = 16;
  const Entry* found = nullptr;
  uint64_t least = kFreeAtOnceBlocks + 1;
  uint32_t looked_at = 0, cursor = 0;
  do {
    cursor = Dict::scan(tx.segment(), keys, cursor, [&](uint64_t item) {
      ++looked_at;
      const auto& entry = tx.view<Entry>(item);
      if (least == 0 || tx.capacity(item) < kGraveBytes) return;
      const uint64_t blocks = type_row(entry.type())->blocks(tx.segment(), entry);
      if (blocks >= least) return;
      least = blocks;
      found = &entry;
    });
  } while (cursor != 0 && least > 0 && looked_at < kLookedAt);
  return found;
}

// A block for a grave. A full segment has no further page for it, but one of the locked shards has a block to spare,
// perhaps of a larger class.
uint64_t create_grave(Transaction& tx, uint32_t index) noexcept {
  const uint32_t shards = tx.segment().shard_count();
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < shards && bytes == 0; ++i) {
    const uint32_t home = (index + i) % shards;
    for (uint32_t c = size_class(kGraveBytes); tx.holds(home) && bytes == 0 && c < kClassBytes.size(); ++c) {
      if (tx.shard(home).class_pages[c] == 0 && tx.shard(home).foreign_free[c] == 0) continue;
      tx.set_home(home);
      bytes = kClassBytes[c];
    }
  }
  const auto* block = tx.create<std::byte>(bytes == 0 ? kGraveBytes : bytes);
  tx.set_home(index);
  return block == nullptr ? 0 : tx.offset_of(block);
}

// All keys of the shard at once: their dict moves into a grave, for which one of them gives its block.
void bury_all_keys(Transaction& tx, uint32_t index) noexcept {
  const shm::Shard& shard = tx.shard(index);
  for (uint32_t database = 0; database < kDatabaseCount; ++database) {
    if (shard.database_keys[database] != 0) tx.edit(shard.database_keys[database]) = 0;
    if (shard.database_expires[database] != 0) tx.edit(shard.database_expires[database]) = 0;
  }
  uint64_t grave = 0;
  if (const Entry* key = key_for_grave(tx, shard.keys); key != nullptr) {
    grave = tx.offset_of(key);
    const uint64_t hash = entry_hash(tx.segment(), grave);
    type_row(key->type())->destroy(tx, *key, UINT32_MAX);
    Dict::remove(tx, shard.keys, hash, grave);
    if (shard.keys.count.load() == 0) return tx.free(grave);
  } else {
    grave = create_grave(tx, index);
  }
  if (tx.failed()) return;
  EntryMeta meta;
  meta.type = kDictGrave;
  meta.value_bytes = sizeof(shm::DictRoot);
  auto* buried = reinterpret_cast<Entry*>(tx.edit_bytes(&tx.view<Entry>(grave), kGraveBytes));
  buried->version = shard.lazy_free;
  buried->meta = meta.pack();
  auto& root = *reinterpret_cast<shm::DictRoot*>(buried + 1);
  root.table = shard.keys.table.load();
  root.count = shard.keys.count.load();
  root.buckets = shard.keys.buckets.load();
  root.depth = shard.keys.depth.load();
  tx.edit(shard.lazy_free) = grave;
  tx.edit(shard.keys.table) = 0;
  tx.edit(shard.keys.count) = 0;
  tx.edit(shard.keys.buckets) = 0;
  tx.edit(shard.keys.depth) = 0;
}

// The keys of one database, out of a dict that holds others, too. Each is buried: that takes half of the time and of
// the journal that freeing it takes.
void bury_one_by_one(Transaction& tx, uint32_t index, uint32_t database) noexcept {
  const shm::Shard& shard = tx.shard(index);
  uint64_t left = shard.database_keys[database], newest = shard.lazy_free;
  tx.edit(shard.database_keys[database]) = 0;
  tx.edit(shard.database_expires[database]) = 0;
  uint32_t cursor = 0;
  for (bool over = false; !over && left > 0 && !tx.failed();) {
    uint64_t victims[64];
    uint32_t count = 0;
    bool more_here = false;  // the bucket has more of them than fit
    const uint32_t next = Dict::scan(tx.segment(), shard.keys, cursor, [&](uint64_t item) {
      if (tx.view<Entry>(item).info().database != database) return;
      if (count == std::size(victims)) {
        more_here = true;
      } else {
        victims[count++] = item;
      }
    });
    for (uint32_t i = 0; i < count && !tx.failed(); ++i) {
      Dict::remove(tx, shard.keys, entry_hash(tx.segment(), victims[i]), victims[i]);
      tx.edit(tx.view<Entry>(victims[i]).version) = newest;
      newest = victims[i];
    }
    left -= count;
    if (more_here) continue;
    cursor = next;
    over = next == 0;
  }
  tx.edit(shard.lazy_free) = newest;
}

}  // namespace

bool free_lazily(Transaction& tx, uint32_t index, uint32_t budget) noexcept {
  const shm::Shard& shard = tx.shard(index);
  tx.set_home(index);
  while (shard.lazy_free != 0 && budget-- > 0 && !tx.failed()) {
    const uint64_t offset = shard.lazy_free;
    const auto& grave = tx.view<Entry>(offset);
    if (grave.type() == kDictGrave) {
      // Entries of the dict that are buried themselves come first in the chain from now on.
      tx.edit(shard.lazy_free) = grave.version.load();
      if (empty_dict_grave(tx, index, grave, 4)) {
        tx.free(offset);
      } else {
        bury(tx, index, grave);
      }
      continue;
    }
    if (!type_row(grave.type())->destroy(tx, grave, 4)) continue;
    tx.edit(shard.lazy_free) = grave.version.load();
    tx.free(offset);
  }
  if (shard.lazy_free != 0) tx.disown(Purpose::kFreeLazily, 0);  // what kills may lie in the rest
  return shard.lazy_free != 0;
}

// Who dies of a grave did not die of his own key.
void free_a_little_under_its_name(Transaction& tx) noexcept {
  constexpr uint32_t kBlocks = 2;
  if (tx.suspected() && tx.refuses(Purpose::kFreeLazily, 0)) return;
  const shm::Context& self = tx.context();
  const uint32_t operation = self.operation;
  const uint64_t key_hash = self.key_hash;
  tx.name(Purpose::kFreeLazily, 0);
  free_lazily(tx, tx.home(), kBlocks);
  tx.name(operation, key_hash);
}

void remove_all(Transaction& tx, uint32_t index) noexcept {
  tx.set_home(index);
  if (tx.shard(index).keys.count.load() != 0) bury_all_keys(tx, index);
}

void remove_database(Transaction& tx, uint32_t index, uint32_t database) noexcept {
  const shm::Shard& shard = tx.shard(index);
  tx.set_home(index);
  if (shard.database_keys[database] == 0) return;
  if (shard.database_keys[database] == shard.keys.count.load()) return bury_all_keys(tx, index);
  bury_one_by_one(tx, index, database);
}

}  // namespace shoal::keyspace
