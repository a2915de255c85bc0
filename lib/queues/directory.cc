// SPDX-License-Identifier: MIT
#include "queues/directory.h"

#include <cstring>

namespace shoal::queues {

namespace {

uint64_t record_bytes_of(const shm::Named& head) noexcept {
  return head.kind == shm::NamedKind::kQueue ? sizeof(shm::Queue) : sizeof(shm::Exchange);
}

uint64_t item_hash(const Segment& segment, uint64_t item) noexcept { return segment.pointer<shm::Named>(item)->hash; }

}  // namespace

Bytes name_of(const shm::Named& head, uint64_t record_bytes) noexcept {
  return {reinterpret_cast<const char*>(&head) + record_bytes, head.name_bytes};
}

uint64_t find_named(const Segment& segment, const Name& name) noexcept {
  const auto matches = [&](uint64_t item) {
    const auto& head = *segment.pointer<shm::Named>(item);
    return head.hash == name.hash && head.kind == name.kind && head.database == name.database &&
           name_of(head, record_bytes_of(head)) == name.text;
  };
  const Dict::Slot* slot = Dict::find(segment, segment.shard(name.shard).queues, name.hash, matches);
  return slot == nullptr ? 0 : Dict::item_of(slot->load());
}

std::byte* create_named(Transaction& tx, const Name& name, uint64_t record_bytes) noexcept {
  auto* record = tx.create<std::byte>(record_bytes + name.text.size());
  if (record == nullptr) return nullptr;
  std::memset(record, 0, record_bytes);
  auto& head = *reinterpret_cast<shm::Named*>(record);
  head.hash = name.hash;
  head.name_bytes = static_cast<uint32_t>(name.text.size());
  head.kind = name.kind;
  head.database = name.database;
  copy_bytes(record + record_bytes, name.text);
  Dict::insert(tx, tx.shard(name.shard).queues, name.hash, tx.offset_of(record), item_hash);
  return tx.failed() ? nullptr : record;
}

void remove_named(Transaction& tx, uint32_t shard, uint64_t offset) noexcept {
  Dict::remove(tx, tx.shard(shard).queues, tx.view<shm::Named>(offset).hash, offset);
  tx.free(offset);
}

uint64_t next_number(Transaction& tx, uint32_t shard) noexcept {
  uint64_t& last = tx.edit(tx.shard(shard).queue_numbers);
  return ++last;
}

}  // namespace shoal::queues
