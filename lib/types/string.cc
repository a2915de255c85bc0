// SPDX-License-Identifier: MIT
#include "types/string.h"

#include <algorithm>

#include "transaction/size_class.h"
#include "types/decimal.h"

namespace shoal::string {

namespace {

using shm::BlobPiece;
using shm::BlobRoot;

// Counted, for the length does not tell: a value that grew has shorter pieces.
uint64_t blocks(const Segment& segment, const shm::Entry& entry) noexcept {
  if (entry.info().encoding == Encoding::kInline) return 0;
  uint64_t count = 0;
  for (uint64_t next = entry.root<BlobRoot>().first; next != 0 && count <= kFreeAtOnceBlocks; ++count) {
    next = segment.pointer<BlobPiece>(next)->next;
  }
  return count;
}

bool destroy(Transaction& tx, const shm::Entry& entry, uint32_t budget) noexcept {
  if (entry.info().encoding == Encoding::kInline) return true;
  const auto& root = entry.root<BlobRoot>();
  while (root.first != 0 && budget-- > 0 && !tx.failed()) {
    const uint64_t piece = root.first;
    tx.edit(root.first) = tx.view<BlobPiece>(piece).next;
    tx.free(piece);
  }
  return root.first == 0;
}

bool check(const Segment& segment, const shm::Entry& entry, VisitBlock visit, void* context) noexcept {
  if (entry.info().encoding == Encoding::kInline) return true;
  const auto& root = entry.root<BlobRoot>();
  uint64_t bytes = 0, last = 0;
  for (uint64_t next = root.first; next != 0;) {
    if (!visit(context, next)) return false;
    const auto& piece = *segment.pointer<BlobPiece>(next);
    bytes += piece.bytes;
    last = next;
    next = piece.next;
  }
  return last == root.last && (bytes == root.bytes || root.first == 0);
}

bool copy(Transaction& tx, const shm::Entry& from, std::byte* root) noexcept {
  if (from.info().encoding == Encoding::kInline) return true;
  const BlobRoot blob = copy_blob(tx, from.root<BlobRoot>());
  std::memcpy(root, &blob, sizeof blob);
  return blob.first != 0;
}

const char* encoding(const Segment&, const shm::Entry& entry) noexcept {
  const EntryMeta m = entry.info();
  if (m.encoding == Encoding::kBlob) return "raw";
  if (is_decimal({reinterpret_cast<const char*>(entry.value()), m.value_bytes})) return "int";
  return m.value_bytes <= 44 ? "embstr" : "raw";
}

// An empty piece with room for `room` bytes or for as much as a piece holds. 0 when memory ran out.
uint64_t create_piece(Transaction& tx, uint64_t room) noexcept {
  auto* piece = tx.create<BlobPiece>(sizeof(BlobPiece) + std::min(room, kPieceBytes));
  if (piece == nullptr) return 0;
  *piece = {0, 0};
  return tx.offset_of(piece);
}

// What a new piece behind a value of `bytes` has room for, at least: a value that grows a little at a time has few
// pieces, and about a fifth of its memory to spare at most.
constexpr uint64_t growth(uint64_t bytes) noexcept {
  const uint64_t block = sizeof(BlobPiece) + bytes / 4;
  return (block > kSmallBlockMax ? block / kPageBytes * kPageBytes : block) - sizeof(BlobPiece);
}

}  // namespace

const TypeRow kRow{Type::kString, "string", 0, blocks, destroy, check, copy, encoding};

uint64_t length(const shm::Entry& entry) noexcept {
  const EntryMeta m = entry.info();
  return m.encoding == Encoding::kInline ? m.value_bytes : entry.root<BlobRoot>().bytes;
}

BlobRoot create_blob(Transaction& tx, const Bytes* parts, size_t count, uint64_t least_room) noexcept {
  BlobRoot root{0, 0, 0};
  uint64_t left = 0;
  for (size_t i = 0; i < count; ++i) left += parts[i].size();
  for (size_t i = 0; i < count; ++i) {
    for (Bytes part = parts[i]; !part.empty();) {
      auto* piece = root.last == 0 ? nullptr : reinterpret_cast<BlobPiece*>(tx.fresh(root.last));
      if (piece == nullptr || piece->bytes == std::min(kPieceBytes, tx.capacity(root.last) - sizeof(BlobPiece))) {
        const uint64_t next = create_piece(tx, std::max(left, least_room));
        if (next == 0) return {0, 0, 0};
        (piece == nullptr ? root.first : piece->next) = next;
        root.last = next;
        piece = reinterpret_cast<BlobPiece*>(tx.fresh(next));
      }
      const uint64_t room = std::min(kPieceBytes, tx.capacity(root.last) - sizeof(BlobPiece)) - piece->bytes;
      const uint64_t bytes = std::min<uint64_t>(room, part.size());
      std::memcpy(reinterpret_cast<char*>(piece + 1) + piece->bytes, part.data(), bytes);
      piece->bytes += bytes;
      root.bytes += bytes;
      left -= bytes;
      part.remove_prefix(bytes);
    }
  }
  return root;
}

BlobRoot copy_blob(Transaction& tx, const BlobRoot& blob) noexcept {
  const BlobPiece* from = tx.segment().pointer<BlobPiece>(blob.first);
  uint64_t passed = 0;  // bytes of *from that were copied
  return fill_blob(tx, blob.bytes, [&](uint64_t, char* place, uint64_t bytes) {
    while (bytes > 0) {
      if (passed == from->bytes) {
        from = tx.segment().pointer<BlobPiece>(from->next);
        passed = 0;
      }
      const uint64_t part = std::min(bytes, from->bytes - passed);
      std::memcpy(place, reinterpret_cast<const char*>(from + 1) + passed, part);
      place += part;
      passed += part;
      bytes -= part;
    }
  });
}

void append_blob(Transaction& tx, const BlobRoot& root, Bytes bytes) noexcept {
  const auto& last = tx.view<BlobPiece>(root.last);
  const uint64_t room = std::min(kPieceBytes, tx.capacity(root.last) - sizeof(BlobPiece)) - last.bytes;
  if (const uint64_t part = std::min<uint64_t>(room, bytes.size()); part > 0) {
    const char* place = reinterpret_cast<const char*>(&last + 1) + last.bytes;
    std::memcpy(tx.edit_bytes(place, part), bytes.data(), part);
    tx.edit(last.bytes) += part;
    tx.edit(root.bytes) += part;
    bytes.remove_prefix(part);
  }
  if (bytes.empty()) return;
  const BlobRoot more = create_blob(tx, &bytes, 1, growth(root.bytes));
  if (more.first == 0) return;
  tx.edit(last.next) = more.first;
  tx.edit(root.last) = more.last;
  tx.edit(root.bytes) += more.bytes;
}

}  // namespace shoal::string
