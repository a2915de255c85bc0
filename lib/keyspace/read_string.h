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
  kAgain,    // a writer came in between, or a longer chain (never from read_string)
};

// One attempt. Inlined, like all that it calls in the usual case, into one straight line: a cold look-up is two misses
// of the cache one after the other, and while it waits the processor begins the caller's next one, as far as it sees
// ahead.
template <Dict::Reach kReach, typename Reserve>
[[gnu::always_inline]] inline ReadString read_string_once(const Segment& segment, const Key& key,
                                                          Reserve reserve) noexcept {
  const shm::Shard& shard = segment.shard(key.shard);
  const Snapshot snapshot(segment, shard);
  if (!snapshot.open()) return ReadString::kAgain;
  const uint64_t wanted = EntryMeta::identity(key.database, key.name.size());
  const auto is_wanted = [ snapshot, wanted, name = key.name ](uint64_t entry) noexcept __attribute__((always_inline)) {
    uint64_t word;
    if (!snapshot.word(entry + offsetof(shm::Entry, meta), word)) return false;
    if ((word & EntryMeta::kIdentityMask) != wanted) return false;
    const EntryMeta meta = EntryMeta::unpack(word);
    return snapshot.contains(entry, meta.value_at()) &&
           snapshot.equals(entry + meta.key_at(), name.data(), name.size());
  };
  const auto [found, entry] = Dict::find<kReach>(snapshot, shard.keys, key.hash, is_wanted);
  if (__builtin_expect(found != Dict::Found::kYes, 0)) {
    return found == Dict::Found::kNo && snapshot.valid() ? ReadString::kMissing : ReadString::kAgain;
  }
  const uint64_t word = snapshot.known_word(entry + offsetof(shm::Entry, meta));
  const EntryMeta meta = EntryMeta::unpack(word);
  if (!EntryMeta::is_inline_string(word) || meta.value_bytes > string::kInlineEntryMax ||
      !snapshot.contains(entry, round_up(meta.bytes(), 8))) {  // a writer may have changed it since it matched
    return ReadString::kUseLock;
  }
  uint64_t expires_ms = 0;
  if (meta.has_expiry && !snapshot.word(entry + sizeof(shm::Entry), expires_ms)) return ReadString::kAgain;
  char* target = reserve(meta.value_bytes);
  if (target != nullptr) snapshot.copy(entry + meta.value_at(), meta.value_bytes, target);
  if (!snapshot.valid()) return ReadString::kAgain;
  if (expires_ms != 0 && static_cast<int64_t>(expires_ms) <= wall_clock_ms()) return ReadString::kMissing;
  return ReadString::kValue;
}

template <typename Reserve>
[[gnu::noinline]] ReadString read_string_again(const Segment& segment, Key key, Reserve reserve) noexcept {
  for (uint32_t tries = 0; tries < kReadTriesMax; ++tries) {
    const ReadString read = read_string_once<Dict::Reach::kChain>(segment, key, reserve);
    if (read != ReadString::kAgain) return read;
  }
  return ReadString::kUseLock;
}

// Copies the short string under `key` to the memory that `reserve(bytes)` gives; a nullptr from it ends the read as
// kValue (the caller knows that there was no room). `reserve` may be called several times; the last call counts.
template <typename Reserve>
[[gnu::always_inline]] inline ReadString read_string(const Segment& segment, const Key& key, Reserve reserve) noexcept {
  const ReadString read = read_string_once<Dict::Reach::kFirstBucket>(segment, key, reserve);
  return __builtin_expect(read != ReadString::kAgain, 1) ? read : read_string_again(segment, key, reserve);
}

}  // namespace shoal::keyspace
