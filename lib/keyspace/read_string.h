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

// The key's entry as the snapshot shows it; what kYes found lies in the extents up to its value.
inline Dict::Sought find(const Snapshot& snapshot, const shm::Shard& shard, const Key& key) noexcept {
  const uint64_t wanted = EntryMeta::identity(key.database, key.name.size());
  const auto is_wanted = [&](uint64_t entry) noexcept {
    uint64_t word;
    if (!snapshot.word(entry + offsetof(shm::Entry, meta), word)) return false;
    if ((word & EntryMeta::kIdentityMask) != wanted) return false;
    const EntryMeta meta = EntryMeta::unpack(word);
    return snapshot.contains(entry, meta.value_at()) &&
           snapshot.equals(entry + meta.key_at(), key.name.data(), key.name.size());
  };
  return Dict::find(snapshot, shard.keys, key.hash, is_wanted);
}

// One attempt that any short string is read by.
template <typename Reserve>
ReadString read_string_once(const Segment& segment, const Key& key, Reserve reserve) noexcept {
  const shm::Shard& shard = segment.shard(key.shard);
  const Snapshot snapshot(segment, shard);
  if (!snapshot.open()) return ReadString::kAgain;
  const auto [found, entry] = find(snapshot, shard, key);
  if (found != Dict::Found::kYes) {
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
[[gnu::noinline]] ReadString read_string_again(const Segment& segment, uint32_t database, Bytes name,
                                               Reserve reserve) noexcept {
  const Key key = make_key(segment, database, name);
  for (uint32_t tries = 0; tries < kReadTriesMax; ++tries) {
    const ReadString read = read_string_once(segment, key, reserve);
    if (read != ReadString::kAgain) return read;
  }
  return ReadString::kUseLock;
}

// The usual case in one straight line, inlined with all that it calls: a name of at most kPlainNameBytesMax bytes, an
// item of its tag in the first bucket, a string in its entry that never expires. Everything else is kAgain. A cold
// look-up is two misses of the cache, one after the other; while it waits the processor begins the caller's next one,
// as far as it sees ahead, so what counts is the number of instructions. That is why the places of name and value are
// worked out from the name that is sought, not from what has been loaded.
template <typename Reserve>
[[gnu::always_inline]] inline ReadString read_plain_string(const Segment& segment, const Key& key,
                                                           Reserve reserve) noexcept {
  constexpr uint64_t kNameAt = sizeof(shm::Entry);
  const uint64_t value_at = round_up(kNameAt + key.name.size(), 8);
  const shm::Shard& shard = segment.shard(key.shard);
  const Snapshot snapshot(segment, shard);
  if (!snapshot.open()) return ReadString::kAgain;
  const auto [found, entry] = Dict::find_by_tag(snapshot, shard.keys, key.hash);
  if (__builtin_expect(found != Dict::Found::kYes, 0)) {
    return found == Dict::Found::kNo && snapshot.valid() ? ReadString::kMissing : ReadString::kAgain;
  }
  if (!snapshot.contains_all_of<string::kInlineEntryMax>(entry)) return ReadString::kAgain;
  const uint64_t word = snapshot.known_word(entry + offsetof(shm::Entry, meta));
  const uint64_t bytes = word >> 32;
  if (static_cast<uint32_t>(word) != EntryMeta::plain_string(key.database, key.name.size()) ||
      bytes > string::kInlineEntryMax - value_at ||
      !snapshot.equals(entry + kNameAt, key.name.data(), key.name.size())) {
    return ReadString::kAgain;
  }
  char* target = reserve(static_cast<uint32_t>(bytes));
  if (target != nullptr) snapshot.copy(entry + value_at, bytes, target);
  return snapshot.valid() ? ReadString::kValue : ReadString::kAgain;
}

// Copies the short string under `name`, of at most kShortKeyBytesMax bytes, to the memory that `reserve(bytes)` gives;
// a nullptr from it ends the read as kValue (the caller knows that there was no room). `reserve` may be called several
// times; the last call counts.
template <typename Reserve>
[[gnu::always_inline]] inline ReadString read_string(const Segment& segment, uint32_t database, Bytes name,
                                                     Reserve reserve) noexcept {
  if (__builtin_expect(name.size() <= kPlainNameBytesMax, 1)) {
    const ReadString read = read_plain_string(segment, make_key(segment, database, name), reserve);
    if (__builtin_expect(read != ReadString::kAgain, 1)) return read;
  }
  return read_string_again(segment, database, name, reserve);
}

}  // namespace shoal::keyspace
