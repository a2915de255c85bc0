// SPDX-License-Identifier: MIT
// dict.h: the one hash table of Shoal: keys of a shard, fields of a hash, members of a set, channels by name.
//
// Linear hashing (Litwin 1980): the table grows and shrinks by one bucket at a time, so no operation ever moves more
// than two buckets. A bucket is one cache line: seven slots and a link to an overflow bucket. A slot is tag:16 |
// offset:48 of an item's block; the tag spares a look at most items that are not meant.
//
//   DictRoot --depth 0--> [bucket | bucket | ... up to 64]                 one block, doubled by copying
//            --depth 1--> node of 512 offsets --> segments of 64 buckets
//            --depth 2--> node of 512 offsets --> nodes --> segments
//
//   N buckets, 2^L <= N < 2^(L+1):  bucket(h) = h mod 2^(L+1), or h mod 2^L where that is not below N.
//   Growing splits bucket N - 2^L into itself and N; shrinking merges them again.
//
// A scan walks the hashes in bit-reversed order. A bucket is a range of that order whatever N is, so an item that is
// there all the time is met at least once, however the table grows or shrinks in between.
//
// All changes go through a Transaction under the lock of the shard that holds the root. Dies at any line: undone with
// it.
// Readers without the lock use find(Snapshot, ...).
#pragma once

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <bit>
#include <cstdint>

#include "transaction/snapshot.h"
#include "transaction/transaction.h"

namespace shoal {

namespace shm {
struct alignas(64) Bucket {
  Cell<uint64_t> slots[7];  // tag:16 | offset:48, 0 = empty; filled from the front, over the whole chain
  Cell<uint64_t> overflow;  // offset of the next bucket of the chain, 0 = last
};
SHOAL_SHM_RECORD(Bucket, 64);
}  // namespace shm

class Dict {
 public:
  static constexpr uint32_t kBucketsPerSegment = 64, kFanout = 512;
  static constexpr uint64_t kBucketsMax = uint64_t{kBucketsPerSegment} * kFanout * kFanout;
  using Slot = shm::Cell<uint64_t>;
  // The hash of an item's key, for moving it to another bucket.
  using ItemHash = uint64_t (*)(const Segment& segment, uint64_t item) noexcept;

  static constexpr uint64_t item_of(uint64_t slot) noexcept { return slot & 0xffff'ffff'ffff; }
  static constexpr uint64_t make_slot(uint64_t hash, uint64_t item) noexcept { return hash >> 32 << 48 | item; }

  // Bit i is set if slot i of the bucket has this tag. Without a branch for each slot: where in its bucket an item lies
  // is random, and a wrong guess would cost more than seven comparisons.
  static uint32_t matching_slots(const shm::Bucket& bucket, uint64_t hash) noexcept {
#ifdef __SSE2__
    // The upper words of the eight words (the last one is the link) side by side in one register. Each half of a load
    // is as whole as a load of its own; which slot it is, is asked again by Cell::load().
    const auto* words = reinterpret_cast<const __m128i*>(&bucket);
    const auto upper = [words](int i) { return _mm_srai_epi32(_mm_load_si128(words + i), 16); };
    const auto odd = [](__m128i low, __m128i high) {
      return _mm_castps_si128(_mm_shuffle_ps(_mm_castsi128_ps(low), _mm_castsi128_ps(high), 0xdd));
    };
    const __m128i tags = _mm_packs_epi32(odd(upper(0), upper(1)), odd(upper(2), upper(3)));
    const __m128i same = _mm_cmpeq_epi16(tags, _mm_set1_epi16(static_cast<int16_t>(hash >> 32)));
    return static_cast<uint32_t>(_mm_movemask_epi8(_mm_packs_epi16(same, same))) & 0x7f;
#else
    const uint64_t tag = hash >> 32 & 0xffff;
    uint32_t mask = 0;
    for (uint32_t i = 0; i < 7; ++i) mask |= static_cast<uint32_t>(bucket.slots[i].load() >> 48 == tag) << i;
    return mask;
#endif
  }

  // ---- Under the lock ----

  // The slot whose item `match(offset)` accepts, or nullptr.
  template <typename Match>
  static const Slot* find(const Segment& segment, const shm::DictRoot& root, uint64_t hash, Match&& match) noexcept {
    if (root.buckets.load() == 0) return nullptr;
    for (const shm::Bucket* bucket = &bucket_at(segment, root, bucket_of(hash, root.buckets));;) {
      for (uint32_t mask = matching_slots(*bucket, hash); mask != 0; mask &= mask - 1) {
        const Slot& slot = bucket->slots[std::countr_zero(mask)];
        const uint64_t value = slot.load();
        if (value != 0 && match(item_of(value))) return &slot;
      }
      const uint64_t next = bucket->overflow;
      if (next == 0) return nullptr;
      bucket = segment.pointer<shm::Bucket>(next);
    }
  }

  // The first item of this tag in the first bucket, 0 if there is none: the caller must look whether it is the one.
  [[gnu::always_inline]] static uint64_t find_by_tag(const Segment& segment, const shm::DictRoot& root,
                                                     uint64_t hash) noexcept {
    const uint32_t buckets = root.buckets;
    if (buckets == 0) return 0;
    const shm::Bucket& bucket = bucket_at(segment, root, bucket_of(hash, buckets));
    const uint32_t mask = matching_slots(bucket, hash);
    return mask == 0 ? 0 : item_in(bucket, mask);
  }
  // Adds an item that is not there. The transaction has failed if memory ran out.
  static void insert(Transaction& tx, const shm::DictRoot& root, uint64_t hash, uint64_t item,
                     ItemHash item_hash) noexcept;
  // Whether the next item that is added splits a bucket.
  static bool grows_with_next(const shm::DictRoot& root) noexcept;
  // Takes out the item that lies at `item`; the item itself is the caller's to free.
  static void remove(Transaction& tx, const shm::DictRoot& root, uint64_t hash, uint64_t item) noexcept;
  // An item of the last bucket, for who empties the table one by one; 0 if there is none. Last buckets that are empty
  // are given back: else each step would pass over all that the former ones have emptied.
  static uint64_t last_item(Transaction& tx, const shm::DictRoot& root) noexcept;
  // A random item for `random` uniform in 64 bits; 0 if empty.
  static uint64_t random_item(const Segment& segment, const shm::DictRoot& root, uint64_t random) noexcept;

  // Visits the items of at least one bucket from `cursor` on, and returns the next cursor, 0 at the end. Starts at 0.
  template <typename Visit>
  static uint32_t scan(const Segment& segment, const shm::DictRoot& root, uint32_t cursor, Visit&& visit) noexcept {
    const uint32_t buckets = root.buckets;
    if (buckets == 0) return 0;
    const uint32_t number = bucket_of(reverse_bits(cursor), buckets);
    for_each_in_chain(segment, bucket_at(segment, root, number), visit);
    const uint32_t width = 32 - bits_of(number, buckets);  // the bucket is 2^width positions wide
    return width >= 32 ? 0 : static_cast<uint32_t>(((uint64_t{cursor} >> width) + 1) << width);
  }
  // Visits every item. The visitor must not change the table.
  template <typename Visit>
  static void for_each(const Segment& segment, const shm::DictRoot& root, Visit&& visit) noexcept {
    for (uint32_t number = 0; number < root.buckets.load(); ++number) {
      for_each_in_chain(segment, bucket_at(segment, root, number), visit);
    }
  }
  // Visits the blocks of the table itself (not the items), for check and accounting.
  template <typename Visit>
  static void for_each_block(const Segment& segment, const shm::DictRoot& root, Visit&& visit) noexcept;

  // ---- Without the lock ----

  enum class Found { kNo, kYes, kTorn };
  struct Sought {
    Found found;
    uint64_t item;  // of kYes
  };
  // Like find(), on private copies; `match(offset)` must only use the snapshot. kTorn: try again.
  template <typename Match>
  static Sought find(const Snapshot& snapshot, const shm::DictRoot& root, uint64_t hash, const Match& match) noexcept;
  // The first item of this tag in the first bucket: nearly always the one that is sought, but the caller must look.
  // kTorn also where a chain goes on, which find() would follow. A multiple of 8, in the extents or not.
  static Sought find_by_tag(const Snapshot& snapshot, const shm::DictRoot& root, uint64_t hash) noexcept;

  // Begins to fetch the first bucket of the hash, for whoever will look for it soon, without the lock: what it reads
  // may be out of date or damaged, and then it fetches something else. At depth 2 it would have to look twice into
  // memory that it cannot trust, and does nothing.
  [[gnu::always_inline]] static void prefetch(const Segment& segment, const shm::DictRoot& root,
                                              uint64_t hash) noexcept {
    const uint32_t buckets = root.buckets, depth = root.depth;
    uint64_t table = root.table;
    if (buckets == 0) return;
    uint64_t number = bucket_of(hash, buckets);
    if (__builtin_expect(depth != 0, 1)) {
      const uint64_t slot = table + number / kBucketsPerSegment * sizeof(Slot);
      if (depth != 1 || slot % sizeof(Slot) != 0 || slot >= segment.committed()) return;
      table = *segment.pointer<Slot>(slot);
      number %= kBucketsPerSegment;
    }
    __builtin_prefetch(segment.pointer<shm::Bucket>(table) + number);
  }

  static uint32_t bucket_of(uint64_t hash, uint32_t buckets) noexcept {
    const uint32_t mask = ~0u >> std::countl_zero(buckets);
    const uint32_t number = static_cast<uint32_t>(hash) & mask;
    return number < buckets ? number : number & mask >> 1;
  }

 private:
  static uint32_t bits_of(uint32_t number, uint32_t buckets) noexcept {  // hash bits that decide for this bucket
    const uint32_t low = std::bit_floor(buckets);
    const auto level = static_cast<uint32_t>(std::countr_zero(low));
    return number >= low || number < buckets - low ? level + 1 : level;
  }
  static uint32_t reverse_bits(uint32_t value) noexcept {
    value = (value >> 1 & 0x55555555u) | (value & 0x55555555u) << 1;
    value = (value >> 2 & 0x33333333u) | (value & 0x33333333u) << 2;
    value = (value >> 4 & 0x0f0f0f0fu) | (value & 0x0f0f0f0fu) << 4;
    return __builtin_bswap32(value);
  }
  static const shm::Bucket& bucket_at(const Segment& segment, const shm::DictRoot& root, uint32_t number) noexcept {
    uint64_t table = root.table;
    const uint32_t depth = root.depth;
    if (depth == 2) table = segment.pointer<Slot>(table)[number / (kBucketsPerSegment * kFanout)];
    if (depth >= 1) table = segment.pointer<Slot>(table)[number / kBucketsPerSegment % kFanout];
    return segment.pointer<shm::Bucket>(table)[depth == 0 ? number : number % kBucketsPerSegment];
  }
  template <typename Visit>
  static void for_each_in_chain(const Segment& segment, const shm::Bucket& first, Visit&& visit) noexcept {
    for (const shm::Bucket* bucket = &first;;) {
      for (const Slot& slot : bucket->slots) {
        if (const uint64_t value = slot; value != 0) visit(item_of(value));
      }
      const uint64_t next = bucket->overflow;
      if (next == 0) return;
      bucket = segment.pointer<shm::Bucket>(next);
    }
  }

  // The offset of the bucket that the hash belongs to. False if it cannot be what it was.
  static bool first_bucket(const Snapshot& snapshot, const shm::DictRoot& root, uint64_t hash, uint32_t buckets,
                           uint64_t& place) noexcept;
  template <typename Match>
  static Sought find_in_bucket(const Snapshot& snapshot, uint64_t place, uint64_t hash, const Match& match) noexcept;
  static uint64_t item_in(const shm::Bucket& bucket, uint32_t mask) noexcept {  // of the lowest bit
    return item_of(bucket.slots[static_cast<uint32_t>(std::countr_zero(mask))]) & ~uint64_t{7};
  }

  static void grow(Transaction& tx, const shm::DictRoot& root, ItemHash item_hash) noexcept;
  static bool shrink(Transaction& tx, const shm::DictRoot& root) noexcept;
  static bool add_bucket(Transaction& tx, const shm::DictRoot& root, uint32_t number) noexcept;
  static void drop_bucket(Transaction& tx, const shm::DictRoot& root, uint32_t number) noexcept;
  static void append(Transaction& tx, const shm::Bucket& first, uint64_t slot) noexcept;
  static uint64_t take_last(Transaction& tx, const shm::Bucket& first) noexcept;
  friend class DictCheck;
};

[[gnu::always_inline]] inline bool Dict::first_bucket(const Snapshot& snapshot, const shm::DictRoot& root,
                                                      uint64_t hash, uint32_t buckets, uint64_t& place) noexcept {
  const uint32_t depth = root.depth;
  const uint32_t number = bucket_of(hash, buckets);
  place = root.table;
  if (depth == 2 && !snapshot.word(place + uint64_t{number / (kBucketsPerSegment * kFanout)} * 8, place)) return false;
  if (depth >= 1 && !snapshot.word(place + uint64_t{number / kBucketsPerSegment % kFanout} * 8, place)) return false;
  place += uint64_t{depth == 0 ? number : number % kBucketsPerSegment} * sizeof(shm::Bucket);
  return snapshot.contains_aligned(place, sizeof(shm::Bucket));
}

[[gnu::always_inline]] inline Dict::Sought Dict::find_by_tag(const Snapshot& snapshot, const shm::DictRoot& root,
                                                             uint64_t hash) noexcept {
  const uint32_t buckets = root.buckets;
  if (buckets == 0) return {Found::kNo, 0};
  uint64_t place;
  if (!first_bucket(snapshot, root, hash, buckets, place)) return {Found::kTorn, 0};
  const auto& bucket = snapshot.cells<shm::Bucket>(place);
  const uint32_t mask = matching_slots(bucket, hash);
  if (__builtin_expect(mask != 0, 1)) return {Found::kYes, item_in(bucket, mask)};
  return {bucket.overflow.load() == 0 ? Found::kNo : Found::kTorn, 0};
}

template <typename Match>
Dict::Sought Dict::find(const Snapshot& snapshot, const shm::DictRoot& root, uint64_t hash,
                        const Match& match) noexcept {
  const uint32_t buckets = root.buckets;
  if (buckets == 0) return {Found::kNo, 0};
  if (buckets > kBucketsMax) return {Found::kTorn, 0};
  uint64_t place;
  if (!first_bucket(snapshot, root, hash, buckets, place)) return {Found::kTorn, 0};
  for (uint32_t steps = 0; steps < kTraversalStepsMax; ++steps) {
    const Sought sought = find_in_bucket(snapshot, place, hash, match);
    if (sought.found != Found::kNo || sought.item == 0) return sought;
    place = sought.item;
  }
  return {Found::kTorn, 0};
}

// kNo comes with the next bucket of the chain in place of an item.
template <typename Match>
Dict::Sought Dict::find_in_bucket(const Snapshot& snapshot, uint64_t place, uint64_t hash,
                                  const Match& match) noexcept {
  if (!snapshot.contains_aligned(place, sizeof(shm::Bucket))) return {Found::kTorn, 0};
  const auto& bucket = snapshot.cells<shm::Bucket>(place);
  for (uint32_t mask = matching_slots(bucket, hash); mask != 0; mask &= mask - 1) {
    const uint64_t item = item_in(bucket, mask);
    if (item != 0 && match(item)) return {Found::kYes, item};
  }
  return {Found::kNo, bucket.overflow.load()};
}

template <typename Visit>
void Dict::for_each_block(const Segment& segment, const shm::DictRoot& root, Visit&& visit) noexcept {
  const uint32_t buckets = root.buckets, depth = root.depth;
  if (buckets == 0) return;
  for (uint32_t number = 0; number < buckets; ++number) {
    for (uint64_t next = bucket_at(segment, root, number).overflow; next != 0;) {
      visit(next);
      next = segment.pointer<shm::Bucket>(next)->overflow;
    }
    if (depth >= 1 && number % kBucketsPerSegment == 0) visit(segment.offset_of(&bucket_at(segment, root, number)));
    if (depth == 2 && number % (kBucketsPerSegment * kFanout) == 0) {
      visit(segment.pointer<Slot>(root.table)[number / (kBucketsPerSegment * kFanout)].load());
    }
  }
  visit(root.table.load());
}

}  // namespace shoal
