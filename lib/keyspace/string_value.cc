// SPDX-License-Identifier: MIT
#include "keyspace/string_value.h"

#include <algorithm>
#include <cstring>

#include "types/string.h"

namespace shoal::keyspace {

namespace {

using shm::BlobRoot;
using shm::Entry;

// A fresh entry with the value area, which replaces `existing` or is added.
const Entry* replace(Transaction& tx, const Key& key, const Entry* existing, Encoding encoding, Bytes value,
                     int64_t expires_ms) noexcept {
  if (existing != nullptr) remove(tx, key, *existing);
  const Entry* entry = create(tx, key, Type::kString, encoding, static_cast<uint32_t>(value.size()), expires_ms != 0);
  if (entry == nullptr) return nullptr;
  copy_bytes(fresh_value(tx, *entry), value);
  return expires_ms == 0 ? entry : set_expiry(tx, key, *entry, expires_ms);
}

// Whether the entry's block can take so many bytes and stay inline. What fits into what is there needs no look at the
// block's page, which is another cold line.
bool has_room(const Transaction& tx, const Entry& entry, uint64_t bytes) noexcept {
  return bytes <= string::kInlineEntryMax &&
         (bytes <= entry.info().bytes() || bytes <= tx.capacity(tx.offset_of(&entry)));
}

// Overwrites an inline string where it lies.
void overwrite(Transaction& tx, const Key& key, const Entry& entry, Bytes value, int64_t expires_ms) noexcept {
  EntryMeta meta = entry.info();
  if (meta.value_bytes != value.size()) {
    meta.value_bytes = static_cast<uint32_t>(value.size());
    tx.edit(entry.meta) = meta.pack();
  }
  if (!value.empty()) copy_bytes(tx.edit_bytes(entry.value(), value.size()), value);
  if (meta.has_expiry) set_expiry(tx, key, entry, expires_ms);
  touch(tx, key, entry);
}

}  // namespace

bool fits_inline(const Key& key, uint64_t value_bytes) noexcept {
  return round_up(24 + key.name.size(), 8) + value_bytes <= string::kInlineEntryMax;
}

const Entry* set_blob(Transaction& tx, const Key& key, const Entry* existing, const BlobRoot& blob,
                      int64_t expires_ms) noexcept {
  if (expires_ms == kKeepExpiry) expires_ms = existing == nullptr ? 0 : existing->expires_ms();
  return replace(tx, key, existing, Encoding::kBlob, {reinterpret_cast<const char*>(&blob), sizeof blob}, expires_ms);
}

const Entry* set_string(Transaction& tx, const Key& key, const Entry* existing, Bytes value,
                        int64_t expires_ms) noexcept {
  if (existing != nullptr) {
    if (expires_ms == kKeepExpiry) expires_ms = existing->expires_ms();
    const EntryMeta meta = existing->info();
    if (meta.type == Type::kString && meta.encoding == Encoding::kInline && (meta.has_expiry || expires_ms == 0) &&
        has_room(tx, *existing, meta.value_at() + value.size())) {
      overwrite(tx, key, *existing, value, expires_ms);
      return existing;
    }
  }
  expires_ms = std::max<int64_t>(expires_ms, 0);
  if (fits_inline(key, value.size())) return replace(tx, key, existing, Encoding::kInline, value, expires_ms);
  const BlobRoot blob = string::create_blob(tx, &value, 1);
  return blob.first == 0 ? nullptr : set_blob(tx, key, existing, blob, expires_ms);
}

const Entry* write_range(Transaction& tx, const Key& key, const Entry& entry, uint64_t offset, Bytes value) noexcept {
  const uint64_t length = string::length(entry), needed = std::max(length, offset + value.size());
  const EntryMeta meta = entry.info();
  if (meta.encoding == Encoding::kBlob && offset == length) {
    string::append_blob(tx, entry.root<BlobRoot>(), value);
    touch(tx, key, entry);
    return tx.failed() ? nullptr : &entry;
  }
  if (meta.encoding == Encoding::kInline && fits_inline(key, needed)) {
    const Entry* target = &entry;
    if (meta.value_at() + needed > tx.capacity(tx.offset_of(&entry))) {
      target = resize(tx, key, entry, static_cast<uint32_t>(needed), false);
      if (target == nullptr) return nullptr;
    } else if (needed != length) {
      EntryMeta longer = meta;
      longer.value_bytes = static_cast<uint32_t>(needed);
      tx.edit(entry.meta) = longer.pack();
    }
    if (offset > length) std::memset(tx.edit_bytes(target->value() + length, offset - length), 0, offset - length);
    copy_bytes(tx.edit_bytes(target->value() + offset, value.size()), value);
    touch(tx, key, *target);
    return target;
  }
  // A blob is never changed in the middle: a new one is written.
  return set_filled(tx, key, &entry, needed, kKeepExpiry, [&](uint64_t from, char* place, uint64_t bytes) {
    const uint64_t kept = from < length ? std::min(bytes, length - from) : 0;
    char* next = place;
    string::for_each_piece(tx.segment(), entry, from, kept, [&](Bytes piece) {
      copy_bytes(next, piece);
      next += piece.size();
    });
    std::memset(place + kept, 0, bytes - kept);
    const uint64_t first = std::max(from, offset), end = std::min(from + bytes, offset + value.size());
    if (first < end) std::memcpy(place + (first - from), value.data() + (first - offset), end - first);
  });
}

}  // namespace shoal::keyspace
