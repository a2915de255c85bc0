// SPDX-License-Identifier: MIT
#include "types/hash.h"
#include "types/dict_check.h"

#include "base/hash.h"

namespace shoal::hash {

namespace {

using shm::BlobRoot;
using shm::HashField;
using shm::HashRoot;

constexpr uint64_t kOverwriteMax = 256;  // a longer value would cost more journal than a new block

uint64_t hash_of(const Segment& segment, Bytes field) noexcept { return hash_bytes(field, segment.header().hash_seed); }
uint64_t field_hash(const Segment& segment, uint64_t field) noexcept {
  return hash_of(segment, field_at(segment, field));
}

const Dict::Slot* find_slot(const Segment& segment, const HashRoot& root, uint64_t hash, Bytes field) noexcept {
  return Dict::find(segment, root.fields, hash, [&](uint64_t item) { return field_at(segment, item) == field; });
}

// A block with field and value, not in the dict yet; 0 when memory ran out.
uint64_t create_field(Transaction& tx, Bytes field, const StoredBytes& stored) noexcept {
  const Bytes value = stored.inside;
  const bool blob = stored.is_blob();
  auto* block = tx.create<HashField>(sizeof(HashField) + field.size() + (blob ? sizeof(BlobRoot) : value.size()));
  if (block == nullptr) return 0;
  *block = {static_cast<uint32_t>(field.size()), blob ? kBlobValue : static_cast<uint32_t>(value.size())};
  auto* bytes = reinterpret_cast<char*>(block + 1);
  copy_bytes(bytes, field);
  if (blob) {
    std::memcpy(bytes + field.size(), &stored.blob, sizeof stored.blob);
  } else {
    copy_bytes(bytes + field.size(), value);
  }
  return tx.offset_of(block);
}

// Writes a short value over another where it lies, if it fits.
bool overwrite(Transaction& tx, uint64_t item, Bytes value) noexcept {
  const auto& block = tx.view<HashField>(item);
  if (block.value_bytes == kBlobValue || value.size() > kOverwriteMax) return false;
  const uint64_t bytes = sizeof(HashField) + block.field_bytes + value.size(), capacity = tx.capacity(item);
  if (bytes > capacity || (bytes < capacity / 2 && value.size() < block.value_bytes)) return false;
  const char* place = reinterpret_cast<const char*>(&block + 1) + block.field_bytes;
  if (!value.empty()) copy_bytes(tx.edit_bytes(place, value.size()), value);
  if (block.value_bytes != value.size()) tx.edit(block.value_bytes) = static_cast<uint32_t>(value.size());
  return true;
}

}  // namespace

StoredBytes value_at(const Segment& segment, uint64_t field) noexcept {
  const auto* block = segment.pointer<HashField>(field);
  const char* place = reinterpret_cast<const char*>(block + 1) + block->field_bytes;
  StoredBytes stored;
  if (block->value_bytes == kBlobValue) {
    std::memcpy(&stored.blob, place, sizeof stored.blob);
  } else {
    stored.inside = {place, block->value_bytes};
  }
  return stored;
}

uint64_t find(const Segment& segment, const HashRoot& root, Bytes field) noexcept {
  const Dict::Slot* slot = find_slot(segment, root, hash_of(segment, field), field);
  return slot == nullptr ? 0 : Dict::item_of(*slot);
}

Stored store(Transaction& tx, const HashRoot& root, Bytes field, Bytes value) noexcept {
  const Segment& segment = tx.segment();
  const uint64_t hash = hash_of(segment, field);
  const Dict::Slot* slot = find_slot(segment, root, hash, field);
  if (slot != nullptr && overwrite(tx, Dict::item_of(*slot), value))
    return tx.failed() ? Stored::kNoMemory : Stored::kReplaced;
  StoredBytes stored{value, {0, 0, 0}};
  if (value.size() > kInsideMax) stored.blob = string::create_blob(tx, &value, 1);
  const uint64_t item = tx.failed() ? 0 : create_field(tx, field, stored);
  if (item == 0) return Stored::kNoMemory;
  if (stored.is_blob()) tx.edit(root.pieces) += stored.blocks();
  if (slot == nullptr) {
    Dict::insert(tx, root.fields, hash, item, field_hash);
    return tx.failed() ? Stored::kNoMemory : Stored::kNew;
  }
  const uint64_t old_item = Dict::item_of(*slot);
  const StoredBytes old_value = value_at(segment, old_item);
  if (old_value.is_blob()) tx.edit(root.pieces) -= old_value.blocks();
  old_value.release(tx);
  tx.edit(*slot) = Dict::make_slot(hash, item);
  tx.free(old_item);
  return tx.failed() ? Stored::kNoMemory : Stored::kReplaced;
}

bool remove(Transaction& tx, const HashRoot& root, Bytes field) noexcept {
  const uint64_t item = find(tx.segment(), root, field);
  if (item == 0) return false;
  const StoredBytes value = value_at(tx.segment(), item);
  if (value.is_blob()) tx.edit(root.pieces) -= value.blocks();
  value.release(tx);
  Dict::remove(tx, root.fields, field_hash(tx.segment(), item), item);
  tx.free(item);
  return true;
}

namespace {

uint64_t blocks(const Segment&, const shm::Entry& entry) noexcept {
  return count(entry.root<HashRoot>()) + entry.root<HashRoot>().pieces;
}

// Frees the first piece of a blob that has more of them. False: the field may go as a whole.
bool free_piece(Transaction& tx, const HashRoot& root, uint64_t item) noexcept {
  BlobRoot blob = value_at(tx.segment(), item).blob;
  if (blob.first == 0 || tx.view<shm::BlobPiece>(blob.first).next == 0) return false;
  const auto& piece = tx.view<shm::BlobPiece>(blob.first);
  const uint64_t before = StoredBytes{{}, blob}.blocks();
  tx.free(blob.first);
  blob.first = piece.next;
  blob.bytes -= piece.bytes;
  const auto& block = tx.view<HashField>(item);
  const char* place = reinterpret_cast<const char*>(&block + 1) + block.field_bytes;
  std::memcpy(tx.edit_bytes(place, sizeof blob), &blob, sizeof blob);
  tx.edit(root.pieces) -= before - StoredBytes{{}, blob}.blocks();
  return true;
}

bool destroy(Transaction& tx, const shm::Entry& entry, uint32_t budget) noexcept {
  const auto& root = entry.root<HashRoot>();
  while (count(root) > 0 && budget-- > 0 && !tx.failed()) {
    const uint64_t item = Dict::last_item(tx, root.fields);
    if (item == 0) break;  // the journal is full
    if (!free_piece(tx, root, item)) remove(tx, root, field_at(tx.segment(), item));
  }
  return count(root) == 0;
}

bool check(const Segment& segment, const shm::Entry& entry, VisitBlock visit, void* context) noexcept {
  const auto& root = entry.root<HashRoot>();
  if (!for_each_doubtful(segment, root.fields, [](uint64_t) {})) return false;
  bool good = true;
  uint64_t seen = 0, pieces = 0;
  Dict::for_each_block(segment, root.fields, [&](uint64_t block) { good = visit(context, block) && good; });
  Dict::for_each(segment, root.fields, [&](uint64_t item) {
    ++seen;
    good = visit(context, item) && good;
    good = good && find(segment, root, field_at(segment, item)) == item;  // in its own bucket, and no twin before it
    const StoredBytes value = value_at(segment, item);
    good = value.check(segment, [&](uint64_t piece) { return visit(context, piece); }) && good;
    pieces += value.blocks();
  });
  return good && seen == count(root) && pieces == root.pieces;
}

bool copy(Transaction& tx, const shm::Entry& from, std::byte* value) noexcept {
  auto& root = *reinterpret_cast<HashRoot*>(value);
  std::memset(value, 0, sizeof root);
  for_each(tx.segment(), from.root<HashRoot>(), [&](Bytes field, StoredBytes stored) {
    if (tx.failed()) return;
    if (stored.is_blob()) stored.blob = string::copy_blob(tx, stored.blob);
    const uint64_t item = tx.failed() ? 0 : create_field(tx, field, stored);
    if (item == 0) return;
    root.pieces += stored.blocks();
    Dict::insert(tx, root.fields, hash_of(tx.segment(), field), item, field_hash);
  });
  return !tx.failed();
}

// What Redis would say with its default limits: 512 fields, 64 bytes.
const char* encoding(const Segment& segment, const shm::Entry& entry) noexcept {
  const auto& root = entry.root<HashRoot>();
  bool small = count(root) <= 512;
  if (small)
    for_each(segment, root, [&](Bytes f, const StoredBytes& v) { small = small && f.size() <= 64 && v.size() <= 64; });
  return small ? "listpack" : "hashtable";
}

}  // namespace

const TypeRow kRow{Type::kHash, "hash", sizeof(HashRoot), blocks, destroy, check, copy, encoding};

}  // namespace shoal::hash
