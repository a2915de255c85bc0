// SPDX-License-Identifier: MIT
// read_string.h: GET without the lock. Any thread, no context needed; writes nothing that is shared, so it scales with
// cores.
// Dies at any line: nothing is left behind.
#pragma once

#include "base/clock.h"
#include "keyspace/keyspace.h"
#include "transaction/snapshot.h"
#include "types/string.h"

namespace shoal::keyspace {

enum class ReadString {
  kValue,    // copied
  kMissing,  // no such key, or its time has come
  kUseLock,  // not a short string, or writers were too busy for kReadTriesMax tries
};

// Copies the short string under `key` to the memory that `reserve(bytes)` gives; a nullptr from it ends the read as
// kValue
// (the caller knows that there was no room). `reserve` may be called several times; the last call counts.
template <typename Reserve>
ReadString read_string(const Segment& segment, const Key& key, Reserve&& reserve) noexcept {
  const shm::Shard& shard = segment.shard(key.shard);
  for (uint32_t tries = 0; tries < kReadTriesMax; ++tries) {
    Snapshot snapshot(segment, shard);
    if (!snapshot.open()) continue;
    uint64_t item = 0;
    EntryMeta meta;
    const auto found = Dict::find(snapshot, segment, shard.keys, key.hash, item, [&](uint64_t candidate) noexcept {
      uint64_t word;
      if (!snapshot.word(candidate + offsetof(shm::Entry, meta), word)) return false;
      meta = EntryMeta::unpack(word);
      return meta.database == key.database && meta.key_bytes == key.name.size() &&
             snapshot.equals(candidate + meta.key_at(), key.name.data(), key.name.size());
    });
    if (found == Dict::Found::kNo && snapshot.valid()) return ReadString::kMissing;
    if (found != Dict::Found::kYes) continue;
    if (meta.type != Type::kString || meta.encoding != Encoding::kInline ||
        meta.value_bytes > string::kInlineEntryMax) {
      return ReadString::kUseLock;
    }
    uint64_t expires_ms = 0;
    if (meta.has_expiry && !snapshot.word(item + sizeof(shm::Entry), expires_ms)) continue;
    char* target = reserve(meta.value_bytes);
    const bool copied = target == nullptr || snapshot.copy(item + meta.value_at(), meta.value_bytes, target);
    if (!copied || !snapshot.valid()) continue;
    if (expires_ms != 0 && static_cast<int64_t>(expires_ms) <= wall_clock_ms()) return ReadString::kMissing;
    return ReadString::kValue;
  }
  return ReadString::kUseLock;
}

}  // namespace shoal::keyspace
