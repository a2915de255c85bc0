// SPDX-License-Identifier: MIT
// string.h: string values. Up to kInlineEntryMax bytes of entry the value lies in the entry itself; a longer one is a
// blob, a chain of spans that never change while reachable, except for bytes behind its length.
//
//   entry ... | BlobRoot{first, last, bytes} --> [next | bytes | data ...] --> [next | bytes | data ...]
//
// All under the shard's lock through a transaction; a death undoes.
#pragma once

#include "transaction/transaction.h"
#include "types/type.h"
#include "types/type_table.h"

namespace shoal {

namespace shm {
struct BlobRoot {
  uint64_t first, last;  // pieces
  uint64_t bytes;        // of the whole value
};
SHOAL_SHM_RECORD(BlobRoot, 24);
struct BlobPiece {
  uint64_t next;   // 0 = last
  uint64_t bytes;  // used of what follows
};
SHOAL_SHM_RECORD(BlobPiece, 16);
}  // namespace shm

namespace string {

inline constexpr uint64_t kInlineEntryMax = 2048;  // a whole entry with its value
inline constexpr uint64_t kPieceBytes = 64 * kKiB - sizeof(shm::BlobPiece);

uint64_t length(const shm::Entry& entry) noexcept;
// Calls f(Bytes) for the pieces of [from, from + bytes) in order.
template <typename F>
void for_each_piece(const Segment& segment, const shm::Entry& entry, uint64_t from, uint64_t bytes, F&& f) noexcept {
  if (entry.info().encoding == Encoding::kInline) {
    if (bytes > 0) f(Bytes(reinterpret_cast<const char*>(entry.value()) + from, bytes));
    return;
  }
  for (uint64_t next = entry.root<shm::BlobRoot>().first; next != 0 && bytes > 0;) {
    const auto& piece = *segment.pointer<shm::BlobPiece>(next);
    if (from < piece.bytes) {
      const uint64_t part = piece.bytes - from < bytes ? piece.bytes - from : bytes;
      f(Bytes(reinterpret_cast<const char*>(&piece + 1) + from, part));
      bytes -= part;
      from = 0;
    } else {
      from -= piece.bytes;
    }
    next = piece.next;
  }
}

// Builds a blob of bytes > 0: fill(from, char* place, bytes) writes [from, from + bytes) of it to fresh memory, a piece
// at a time, in order. root.first = 0 when the transaction failed.
template <typename Fill>
shm::BlobRoot fill_blob(Transaction& tx, uint64_t bytes, Fill&& fill) noexcept {
  shm::BlobRoot root{0, 0, 0};
  while (root.bytes < bytes) {
    const uint64_t part = bytes - root.bytes < kPieceBytes ? bytes - root.bytes : kPieceBytes;
    auto* piece = tx.create<shm::BlobPiece>(sizeof(shm::BlobPiece) + part);
    if (piece == nullptr) return {0, 0, 0};
    *piece = {0, part};
    fill(root.bytes, reinterpret_cast<char*>(piece + 1), part);
    const uint64_t next = tx.offset_of(piece);
    (root.last == 0 ? root.first : reinterpret_cast<shm::BlobPiece*>(tx.fresh(root.last))->next) = next;
    root.last = next;
    root.bytes += part;
  }
  return root;
}
// A blob of the same bytes, in pieces of its own.
shm::BlobRoot copy_blob(Transaction& tx, const shm::BlobRoot& blob) noexcept;

// Builds a blob that holds `parts` one after the other, in pieces with room for `least_room` bytes; root.first = 0 when
// the transaction failed.
shm::BlobRoot create_blob(Transaction& tx, const Bytes* parts, size_t count, uint64_t least_room = 0) noexcept;
// Appends to a blob: behind the last piece's used bytes, then in new pieces, which have room for more.
void append_blob(Transaction& tx, const shm::BlobRoot& root, Bytes bytes) noexcept;

extern const TypeRow kRow;

}  // namespace string
}  // namespace shoal
