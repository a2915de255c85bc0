// SPDX-License-Identifier: MIT
#include "keyspace/read_blob.h"

#include <algorithm>

namespace shoal::keyspace {

namespace {

ReadString find_blob_once(const Segment& segment, const Key& key, BlobPlace& place) noexcept {
  const shm::Shard& shard = segment.shard(key.shard);
  const Snapshot snapshot(segment, shard);
  if (!snapshot.open()) return ReadString::kAgain;
  const auto [found, entry] = find(snapshot, shard, key);
  if (found == Dict::Found::kTorn) return ReadString::kAgain;
  uint64_t word = 0, expires_ms = 0;
  if (found == Dict::Found::kYes) {
    word = snapshot.known_word(entry + offsetof(shm::Entry, meta));
    const EntryMeta meta = EntryMeta::unpack(word);
    const uint64_t root = entry + meta.value_at();
    if (!snapshot.contains(entry, meta.value_at() + sizeof(shm::BlobRoot))) return ReadString::kAgain;
    if (meta.has_expiry) expires_ms = snapshot.known_word(entry + sizeof(shm::Entry));
    place.epoch = shard.reader_epoch;
    place.version = snapshot.known_word(entry + offsetof(shm::Entry, version));
    place.first = snapshot.known_word(root + offsetof(shm::BlobRoot, first));
    place.bytes = snapshot.known_word(root + offsetof(shm::BlobRoot, bytes));
  }
  if (!snapshot.valid()) return ReadString::kAgain;
  if (found == Dict::Found::kNo) return ReadString::kMissing;
  if (expires_ms != 0 && static_cast<int64_t>(expires_ms) <= wall_clock_ms()) return ReadString::kMissing;
  const EntryMeta meta = EntryMeta::unpack(word);
  const bool is_blob = meta.type == Type::kString && meta.encoding == Encoding::kBlob;
  return is_blob && place.bytes <= std::min(kValueBytesMax, segment.committed()) ? ReadString::kValue
                                                                                 : ReadString::kUseLock;
}

}  // namespace

ReadString find_blob(const Segment& segment, const Key& key, BlobPlace& place) noexcept {
  for (uint32_t tries = 0; tries < kReadTriesMax; ++tries) {
    const ReadString found = find_blob_once(segment, key, place);
    if (found != ReadString::kAgain) return found;
  }
  return ReadString::kUseLock;
}

bool copy_pieces(const Segment& segment, const Key& key, const BlobPlace& place, char* target) noexcept {
  const Snapshot snapshot(segment, segment.shard(key.shard));  // for its bounds only
  uint64_t left = place.bytes;
  for (uint64_t piece = place.first; left > 0;) {
    if (piece % 8 != 0 || !snapshot.contains(piece, sizeof(shm::BlobPiece))) return false;
    const uint64_t data = piece + sizeof(shm::BlobPiece);
    const uint64_t bytes = snapshot.known_word(piece + offsetof(shm::BlobPiece, bytes));
    piece = snapshot.known_word(piece + offsetof(shm::BlobPiece, next));
    if (bytes == 0 || bytes > left || !snapshot.contains(data, round_up(bytes, 8))) return false;
    snapshot.copy(data, bytes, target);
    target += bytes;
    left -= bytes;
  }
  return true;
}

}  // namespace shoal::keyspace
