// SPDX-License-Identifier: MIT
// stored_bytes.h: bytes of an element or a hash value as they lie in the segment: short ones inside the block of their
// structure, long
// ones as a blob of their own (types/string.h) whose root record lies there instead.
//
// A StoredBytes is a view for code that holds the shard's lock. What it shows stays readable until the end of the
// transaction,
// even after release(), since a block freed in a transaction is not handed out again before the commit.
#pragma once

#include "transaction/transaction.h"
#include "types/string.h"

namespace shoal {

struct StoredBytes {
  Bytes inside;                 // when blob.first is 0
  shm::BlobRoot blob{0, 0, 0};  // a copy of the root record

  bool is_blob() const noexcept { return blob.first != 0; }
  uint64_t size() const noexcept { return is_blob() ? blob.bytes : inside.size(); }
  uint64_t blocks() const noexcept { return is_blob() ? blob.bytes / string::kPieceBytes + 1 : 0; }

  template <typename F>
  void for_each_piece(const Segment& segment, F&& f) const noexcept {
    if (!is_blob()) return f(inside);
    for (uint64_t next = blob.first; next != 0;) {
      const auto& piece = *segment.pointer<shm::BlobPiece>(next);
      f(Bytes(reinterpret_cast<const char*>(&piece + 1), piece.bytes));
      next = piece.next;
    }
  }
  bool equals(const Segment& segment, Bytes other) const noexcept {
    if (size() != other.size()) return false;
    bool equal = true;
    for_each_piece(segment, [&](Bytes piece) {
      equal = equal && other.substr(0, piece.size()) == piece;
      other.remove_prefix(piece.size());
    });
    return equal;
  }
  // The blob's pieces are freed at the commit.
  void release(Transaction& tx) const noexcept {
    for (uint64_t next = blob.first; next != 0 && !tx.failed();) {
      const uint64_t piece = next;
      next = tx.view<shm::BlobPiece>(piece).next;
      tx.free(piece);
    }
  }
  // For check(): visits the pieces; false if they are not the blob that the root describes.
  template <typename Visit>
  bool check(const Segment& segment, Visit&& visit) const noexcept {
    uint64_t bytes = 0, last = 0;
    for (uint64_t next = blob.first; next != 0; last = next, next = segment.pointer<shm::BlobPiece>(next)->next) {
      if (!visit(next)) return false;
      bytes += segment.pointer<shm::BlobPiece>(next)->bytes;
    }
    return !is_blob() || (last == blob.last && bytes == blob.bytes);
  }
};

}  // namespace shoal
