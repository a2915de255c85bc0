// SPDX-License-Identifier: MIT
// type.h: the types of values, and what an entry is.
//
//   0         8        16 or 24                                     round up to 8
//   | version | meta   | [expires ms] | key bytes ...               | value ...
//   meta = type:4 | encoding:4 | database:4 | flags:4 | key_bytes:16 | value_bytes:32
//   a key longer than kShortKeyBytesMax: key_bytes = 0xffff, and a word with its length stands before its bytes
//
// The value is the bytes of a short string, or the root record of what holds it (a blob, a list, a dict ...). Nothing
// points back to an entry or its root, so an entry may be moved: a new block, one slot of the dict, the old block
// freed.
#pragma once

#include <cstdint>
#include <cstring>

#include "base/bytes.h"
#include "base/limits.h"
#include "segment/layout.h"

namespace shoal {

enum class Type : uint8_t { kString = 0, kList = 1, kSet = 2, kSortedSet = 3, kHash = 4, kStream = 5 };
inline constexpr uint32_t kTypeCount = 6;
enum class Encoding : uint8_t { kInline = 0, kBlob = 1 };

// The unpacked meta word.
struct EntryMeta {
  Type type = Type::kString;
  Encoding encoding = Encoding::kInline;
  uint8_t database = 0;
  bool has_expiry = false;   // the word for it is there; its value 0 = no expiry
  uint32_t key_bytes = 0;    // of the key's place: with a long one's length word
  uint32_t value_bytes = 0;  // of a short string; of the root record otherwise

  static constexpr uint32_t kLongKey = kShortKeyBytesMax + 1;
  static constexpr uint32_t key_place_bytes(size_t name_bytes) noexcept {
    return static_cast<uint32_t>(name_bytes < kLongKey ? name_bytes : name_bytes + sizeof(uint64_t));
  }

  // A long key's key_bytes become kLongKey: Entry::info() knows its length.
  static constexpr EntryMeta unpack(uint64_t word) noexcept {
    return {static_cast<Type>(word & 15), static_cast<Encoding>(word >> 4 & 15), static_cast<uint8_t>(word >> 8 & 15),
            (word >> 12 & 1) != 0,        static_cast<uint16_t>(word >> 16),     static_cast<uint32_t>(word >> 32)};
  }
  constexpr uint64_t pack() const noexcept {
    return static_cast<uint64_t>(type) | static_cast<uint64_t>(encoding) << 4 | uint64_t{database} << 8 |
           uint64_t{has_expiry} << 12 | (key_bytes < kLongKey ? uint64_t{key_bytes} : kLongKey) << 16 |
           uint64_t{value_bytes} << 32;
  }
  // The bits of the word that say which key it may be: the database and the length of its name (of a long one that it
  // is long).
  static constexpr uint64_t kIdentityMask = 0xffff'0f00;
  static constexpr uint64_t identity(uint8_t database, uint64_t name_bytes) noexcept {
    return uint64_t{database} << 8 | (name_bytes < kLongKey ? name_bytes : kLongKey) << 16;
  }
  // The lower half of the word of a string that lies in its entry and has no word for an expiry.
  static constexpr uint32_t plain_string(uint8_t database, uint64_t name_bytes) noexcept {
    return static_cast<uint32_t>(static_cast<uint64_t>(Type::kString) | static_cast<uint64_t>(Encoding::kInline) << 4 |
                                 identity(database, name_bytes));
  }
  static constexpr bool is_inline_string(uint64_t word) noexcept {
    return (word & 0xff) == (static_cast<uint64_t>(Type::kString) | static_cast<uint64_t>(Encoding::kInline) << 4);
  }
  constexpr uint64_t key_at() const noexcept { return 16 + 8 * uint64_t{has_expiry}; }
  constexpr uint64_t value_at() const noexcept { return round_up(key_at() + key_bytes, 8); }
  constexpr uint64_t bytes() const noexcept { return value_at() + value_bytes; }
};

namespace shm {

struct Entry {
  Cell<uint64_t> version;  // the shard's sequence at its last change: WATCH compares it
  Cell<uint64_t> meta;

  // For code that holds the shard's lock.
  EntryMeta info() const noexcept {
    EntryMeta m = EntryMeta::unpack(meta.load());
    if (__builtin_expect(m.key_bytes == EntryMeta::kLongKey, 0)) m.key_bytes = place_of_long_key(m);
    return m;
  }
  Type type() const noexcept { return static_cast<Type>(meta.load() & 15); }
  Bytes key() const noexcept {
    const EntryMeta m = info();
    const char* place = reinterpret_cast<const char*>(this) + m.key_at();
    if (__builtin_expect(m.key_bytes < EntryMeta::kLongKey, 1)) return {place, m.key_bytes};
    return {place + sizeof(uint64_t), m.key_bytes - sizeof(uint64_t)};
  }
  const Cell<uint64_t>& expiry_word() const noexcept { return *reinterpret_cast<const Cell<uint64_t>*>(this + 1); }
  int64_t expires_ms() const noexcept { return info().has_expiry ? static_cast<int64_t>(expiry_word().load()) : 0; }
  const std::byte* value() const noexcept { return reinterpret_cast<const std::byte*>(this) + info().value_at(); }
  template <typename Root>
  const Root& root() const noexcept {
    return *reinterpret_cast<const Root*>(value());
  }

 private:
  uint32_t place_of_long_key(const EntryMeta& m) const noexcept {
    uint64_t bytes;
    std::memcpy(&bytes, reinterpret_cast<const char*>(this) + m.key_at(), sizeof bytes);
    return EntryMeta::key_place_bytes(bytes < kNameBytesMax ? bytes : kNameBytesMax);  // damaged: check() will say so
  }
};
SHOAL_SHM_RECORD(Entry, 16);

}  // namespace shm

// Which Type a root record stands for; specialised beside each root (RootOf<shm::ListRoot>::type).
template <typename Root>
struct RootOf;

}  // namespace shoal
