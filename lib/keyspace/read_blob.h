// SPDX-License-Identifier: MIT
// read_blob.h: GET of a value that is too large for its entry, without holding the lock while it is copied.
//
//   1  an optimistic look-up (Snapshot): where the blob begins, how long it is, the entry's version, the shard's epoch
//   2  the pieces are copied, whatever happens meanwhile to the shard
//   3  the same look-up again. The entry says the same, version included: the copy is the value
//
// The pieces of a blob do not change and are not freed while an entry says so: what changes a value gives its entry a
// version that no entry of the shard had before, and the epoch tells of who had done that and was undone. So writers of
// other keys of the shard do not disturb the copy, as they would if it stood and fell with the shard's sequence, and it
// keeps none of them waiting.
//
// No pin (something in the segment that keeps a blob from being freed while it is copied): only writers of this very
// key make a copy void, and each of them copies a blob under the lock himself. After kBlobTriesMax void copies the
// reader does as they do, so it does not starve; and there is nothing that a dead reader could leave behind, nothing
// that whoever frees has to look at.
//
// What is copied in 2 may be anything by then: bounds are checked piece by piece, as of everything that a reader
// without the lock loads, and the length that memory is reserved for comes from 1, which was valid. Any thread, no
// context needed; writes nothing that is shared. Dies at any line: nothing is left behind.
#pragma once

#include <atomic>

#include "keyspace/read_string.h"

namespace shoal::keyspace {

inline constexpr uint32_t kBlobTriesMax = 4;

// What an entry said of its blob at one moment.
struct BlobPlace {
  uint64_t version = 0, first = 0, bytes = 0, epoch = 0;
  bool operator==(const BlobPlace&) const noexcept = default;
};

// kValue: it is a blob; kUseLock: it is not, or writers were too busy. Never kAgain.
ReadString find_blob(const Segment& segment, const Key& key, BlobPlace& place) noexcept;
// False: this cannot be what the entry said. True says little: look again.
bool copy_pieces(const Segment& segment, const Key& key, const BlobPlace& place, char* target) noexcept;

// As read_string(), for what that leaves to the lock.
template <typename Reserve>
ReadString read_blob(const Segment& segment, const Key& key, Reserve reserve) noexcept {
  BlobPlace place;
  ReadString found = find_blob(segment, key, place);
  for (uint32_t tries = 0; found == ReadString::kValue; ++tries) {
    if (tries == kBlobTriesMax) return ReadString::kUseLock;
    char* target = reserve(static_cast<uint32_t>(place.bytes));
    if (target == nullptr) return ReadString::kValue;
    const bool copied = copy_pieces(segment, key, place, target);
    std::atomic_thread_fence(std::memory_order_acquire);  // the copy was loaded before the second look
    BlobPlace now;
    found = find_blob(segment, key, now);
    if (found == ReadString::kValue && copied && now == place) return ReadString::kValue;
    place = now;
  }
  return found;
}

}  // namespace shoal::keyspace
