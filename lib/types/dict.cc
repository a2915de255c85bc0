// SPDX-License-Identifier: MIT
#include "types/dict.h"

#include <cstring>

namespace shoal {

namespace {

using shm::Bucket;
using shm::Cell;
using shm::DictRoot;

// Items a bucket on the average: 4 of its 7 slots, half of 3 before it shrinks. While the table doubles, the buckets
// not yet split hold up to twice the average; at 4 about one item in thirty lies in an overflow bucket, at 5.5 one in
// eight.
bool too_full(uint64_t count, uint64_t buckets) { return count > 4 * buckets; }
bool too_empty(uint64_t count, uint64_t buckets) { return 2 * count < 3 * buckets; }

uint64_t create_zeroed(Transaction& tx, uint64_t bytes) noexcept {
  auto* block = tx.create<std::byte>(bytes);
  if (block == nullptr) return 0;
  std::memset(block, 0, bytes);
  return tx.offset_of(block);
}

}  // namespace

void Dict::append(Transaction& tx, const Bucket& first, uint64_t value) noexcept {
  for (const Bucket* bucket = &first;;) {
    for (const Slot& slot : bucket->slots) {
      if (slot.load() == 0) {
        tx.edit(slot) = value;
        return;
      }
    }
    if (bucket->overflow.load() == 0) {
      const uint64_t next = create_zeroed(tx, sizeof(Bucket));
      if (next == 0) return;
      tx.edit(tx.view<Bucket>(next).slots[0]) = value;
      tx.edit(bucket->overflow) = next;
      return;
    }
    bucket = &tx.view<Bucket>(bucket->overflow.load());
  }
}

// Takes the last slot of the chain out of it, and an overflow bucket that this empties.
uint64_t Dict::take_last(Transaction& tx, const Bucket& first) noexcept {
  const Bucket* before = nullptr;
  const Bucket* bucket = &first;
  while (bucket->overflow.load() != 0) {
    before = bucket;
    bucket = &tx.view<Bucket>(bucket->overflow.load());
  }
  int last = 6;
  while (last >= 0 && bucket->slots[last].load() == 0) --last;
  if (last < 0) return 0;
  const uint64_t value = bucket->slots[last];
  if (last == 0 && before != nullptr) {
    tx.free(tx.offset_of(bucket));
    tx.edit(before->overflow) = 0;
  } else {
    tx.edit(bucket->slots[last]) = 0;
  }
  return value;
}

bool Dict::grows_with_next(const DictRoot& root) noexcept {
  return root.buckets.load() == 0 || (too_full(root.count + 1, root.buckets) && root.buckets.load() < kBucketsMax);
}

void Dict::insert(Transaction& tx, const DictRoot& root, uint64_t hash, uint64_t item, ItemHash item_hash) noexcept {
  if (grows_with_next(root)) {
    grow(tx, root, item_hash);
    if (tx.failed()) return;
  }
  append(tx, bucket_at(tx.segment(), root, bucket_of(hash, root.buckets)), make_slot(hash, item));
  tx.edit(root.count) += 1;
}

void Dict::remove(Transaction& tx, const DictRoot& root, uint64_t hash, uint64_t item) noexcept {
  if (tx.failed()) return;  // of a former removal perhaps the half: an item may be nowhere
  const Slot* slot = find(tx.segment(), root, hash, [item](uint64_t other) { return other == item; });
  SHOAL_ASSERT(slot != nullptr);
  const Bucket& first = bucket_at(tx.segment(), root, bucket_of(hash, root.buckets));
  const uint64_t moved = take_last(tx, first);
  if (item_of(moved) != item) tx.edit(*slot) = moved;
  tx.edit(root.count) -= 1;
  if (root.buckets.load() > 1 && too_empty(root.count, root.buckets)) shrink(tx, root);
  while (root.count.load() == 0 && root.buckets.load() > 0 && shrink(tx, root)) {
  }
}

// Splits the next bucket in turn.
void Dict::grow(Transaction& tx, const DictRoot& root, ItemHash item_hash) noexcept {
  const Segment& segment = tx.segment();
  const uint32_t number = root.buckets;
  if (!add_bucket(tx, root, number)) return;
  tx.edit(root.buckets) = number + 1;
  if (number == 0) return;
  const uint32_t low = std::bit_floor(number);
  const Bucket& old_bucket = bucket_at(segment, root, number - low);
  const Bucket& new_bucket = bucket_at(segment, root, number);
  // Each slot of the old chain is looked at once, from the front; a slot that leaves is filled from the chain's end.
  const Bucket* bucket = &old_bucket;
  uint32_t place = 0;
  while (!tx.failed()) {
    if (place == 7) {
      const uint64_t next = bucket->overflow;
      if (next == 0) return;
      bucket = &tx.view<Bucket>(next);
      place = 0;
    }
    const uint64_t value = bucket->slots[place];
    if (value == 0) return;
    if ((item_hash(segment, item_of(value)) & low) == 0) {
      ++place;
      continue;
    }
    append(tx, new_bucket, value);
    const uint64_t last = take_last(tx, old_bucket);
    if (last == value) return;  // it was the end of the chain
    tx.edit(bucket->slots[place]) = last;
  }
}

// Merges the last bucket into the one it was split from, if both fit there: a removal must not need memory.
bool Dict::shrink(Transaction& tx, const DictRoot& root) noexcept {
  const uint32_t number = root.buckets - 1;
  if (number > 0) {
    const Bucket& last = bucket_at(tx.segment(), root, number);
    const Bucket& target = bucket_at(tx.segment(), root, number - std::bit_floor(number));
    uint32_t items = 0;
    for_each_in_chain(tx.segment(), last, [&](uint64_t) { ++items; });
    for_each_in_chain(tx.segment(), target, [&](uint64_t) { ++items; });
    if (items > 7) return false;
    while (const uint64_t value = take_last(tx, last)) {
      append(tx, target, value);
      if (tx.failed()) return false;
    }
  }
  drop_bucket(tx, root, number);
  tx.edit(root.buckets) = number;
  return !tx.failed();
}

// Makes room for bucket `number`, which will be the last.
bool Dict::add_bucket(Transaction& tx, const DictRoot& root, uint32_t number) noexcept {
  const Segment& segment = tx.segment();
  if (number < kBucketsPerSegment && root.depth.load() == 0) {
    const uint64_t needed = std::bit_ceil(number + 1) * sizeof(Bucket);
    if (root.table.load() != 0 && tx.capacity(root.table) >= needed) return true;
    const uint64_t table = create_zeroed(tx, needed);
    if (table == 0) return false;
    if (const uint64_t old = root.table; old != 0) {
      std::memcpy(tx.fresh(table), segment.pointer<std::byte>(old), number * sizeof(Bucket));
      tx.free(old);
    }
    tx.edit(root.table) = table;
    return true;
  }
  if (number % kBucketsPerSegment != 0) return true;
  const bool wants_depth = number == kBucketsPerSegment || number == kBucketsPerSegment * kFanout;
  if (wants_depth && root.depth.load() == (number == kBucketsPerSegment ? 0u : 1u)) {
    const uint64_t node = create_zeroed(tx, kFanout * sizeof(Slot));
    if (node == 0) return false;
    tx.edit(segment.pointer<Slot>(node)[0]) = root.table.load();
    tx.edit(root.table) = node;
    tx.edit(root.depth) += 1;
  }
  uint64_t node = root.table;
  if (root.depth.load() == 2) {
    const Slot& link = segment.pointer<Slot>(node)[number / (kBucketsPerSegment * kFanout)];
    if (link.load() == 0) {
      const uint64_t child = create_zeroed(tx, kFanout * sizeof(Slot));
      if (child == 0) return false;
      tx.edit(link) = child;
    }
    node = link;
  }
  const uint64_t table = create_zeroed(tx, kBucketsPerSegment * sizeof(Bucket));
  if (table == 0) return false;
  tx.edit(segment.pointer<Slot>(node)[number / kBucketsPerSegment % kFanout]) = table;
  return true;
}

// Gives back what only bucket `number`, the last, needed.
void Dict::drop_bucket(Transaction& tx, const DictRoot& root, uint32_t number) noexcept {
  const Segment& segment = tx.segment();
  if (root.depth.load() == 0) {
    if (number == 0) {
      tx.free(root.table);
      tx.edit(root.table) = 0;
      return;
    }
    return;
  }
  if (number % kBucketsPerSegment != 0) return;
  uint64_t node = root.table;
  if (root.depth.load() == 2) node = segment.pointer<Slot>(node)[number / (kBucketsPerSegment * kFanout)];
  const Slot& link = segment.pointer<Slot>(node)[number / kBucketsPerSegment % kFanout];
  tx.free(link);
  tx.edit(link) = 0;
  if (root.depth.load() == 2 && number % (kBucketsPerSegment * kFanout) == 0) {
    tx.free(node);
    tx.edit(segment.pointer<Slot>(root.table)[number / (kBucketsPerSegment * kFanout)]) = 0;
  }
  const bool gives_up_depth = number == (root.depth.load() == 1 ? kBucketsPerSegment : kBucketsPerSegment * kFanout);
  if (!gives_up_depth) return;
  const uint64_t top = root.table;
  tx.edit(root.table) = segment.pointer<Slot>(top)[0].load();
  tx.edit(root.depth) -= 1;
  tx.free(top);
}

uint64_t Dict::last_item(Transaction& tx, const DictRoot& root) noexcept {
  while (root.buckets.load() > 0 && !tx.failed()) {
    const uint32_t last = root.buckets - 1;
    if (const uint64_t value = bucket_at(tx.segment(), root, last).slots[0]; value != 0) return item_of(value);
    drop_bucket(tx, root, last);  // its hashes are the next lower one's from now on, and it has no item of them
    tx.edit(root.buckets) = last;
  }
  return 0;
}

uint64_t Dict::random_item(const Segment& segment, const DictRoot& root, uint64_t random) noexcept {
  if (root.count.load() == 0) return 0;
  const uint32_t buckets = root.buckets;
  auto number = static_cast<uint32_t>((random & 0xffff'ffff) % buckets);
  while (bucket_at(segment, root, number).slots[0].load() == 0) number = (number + 1) % buckets;
  uint32_t length = 0;
  for_each_in_chain(segment, bucket_at(segment, root, number), [&](uint64_t) { ++length; });
  uint32_t left = static_cast<uint32_t>((random >> 32) % length);
  uint64_t chosen = 0;
  for_each_in_chain(segment, bucket_at(segment, root, number), [&](uint64_t item) {
    if (left-- == 0) chosen = item;
  });
  return chosen;
}

}  // namespace shoal
