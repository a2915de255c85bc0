// SPDX-License-Identifier: MIT
#include "types/set.h"
#include "types/dict_check.h"

#include "base/hash.h"
#include "types/decimal.h"

namespace shoal::set {

namespace {

using shm::SetMember;
using shm::SetRoot;

uint64_t hash_of(const Segment& segment, Bytes member) noexcept {
  return hash_bytes(member, segment.header().hash_seed);
}
uint64_t member_hash(const Segment& segment, uint64_t member) noexcept {
  return hash_of(segment, member_at(segment, member));
}

const Dict::Slot* find(const Segment& segment, const SetRoot& root, uint64_t hash, Bytes member) noexcept {
  return Dict::find(segment, root.members, hash, [&](uint64_t item) { return member_at(segment, item) == member; });
}

}  // namespace

bool contains(const Segment& segment, const SetRoot& root, Bytes member) noexcept {
  return find(segment, root, hash_of(segment, member), member) != nullptr;
}

Added add(Transaction& tx, const SetRoot& root, Bytes member) noexcept {
  const uint64_t hash = hash_of(tx.segment(), member);
  if (find(tx.segment(), root, hash, member) != nullptr) return Added::kNo;
  auto* block = tx.create<SetMember>(sizeof(SetMember) + member.size());
  if (block == nullptr) return Added::kNoMemory;
  block->bytes = static_cast<uint32_t>(member.size());
  copy_bytes(block + 1, member);
  Dict::insert(tx, root.members, hash, tx.offset_of(block), member_hash);
  return tx.failed() ? Added::kNoMemory : Added::kYes;
}

bool remove(Transaction& tx, const SetRoot& root, Bytes member) noexcept {
  const Dict::Slot* slot = find(tx.segment(), root, hash_of(tx.segment(), member), member);
  if (slot == nullptr) return false;
  remove_at(tx, root, Dict::item_of(*slot));
  return true;
}

void remove_at(Transaction& tx, const SetRoot& root, uint64_t member) noexcept {
  Dict::remove(tx, root.members, member_hash(tx.segment(), member), member);
  tx.free(member);
}

namespace {

uint64_t blocks(const Segment&, const shm::Entry& entry) noexcept { return count(entry.root<SetRoot>()); }

bool destroy(Transaction& tx, const shm::Entry& entry, uint32_t budget) noexcept {
  const auto& root = entry.root<SetRoot>();
  while (count(root) > 0 && budget-- > 0 && !tx.failed()) {
    const uint64_t member = Dict::last_item(tx, root.members);
    if (member == 0) break;  // the journal is full
    remove_at(tx, root, member);
  }
  return count(root) == 0;
}

bool check(const Segment& segment, const shm::Entry& entry, VisitBlock visit, void* context) noexcept {
  const auto& root = entry.root<SetRoot>();
  if (!for_each_doubtful(segment, root.members, [](uint64_t) {})) return false;
  bool good = true;
  uint64_t seen = 0;
  Dict::for_each_block(segment, root.members, [&](uint64_t block) { good = visit(context, block) && good; });
  Dict::for_each(segment, root.members, [&](uint64_t member) {
    ++seen;
    good = visit(context, member) && good;
    const Dict::Slot* slot = find(segment, root, member_hash(segment, member), member_at(segment, member));
    good = good && slot != nullptr && Dict::item_of(*slot) == member;  // in its own bucket, and no twin before it
  });
  return good && seen == count(root);
}

// What Redis would say with its default limits: 512 integers, 64 bytes.
bool copy(Transaction& tx, const shm::Entry& from, std::byte* value) noexcept {
  auto& root = *reinterpret_cast<SetRoot*>(value);
  std::memset(value, 0, sizeof root);
  for_each(tx.segment(), from.root<SetRoot>(), [&](Bytes member) {
    if (!tx.failed()) add(tx, root, member);
  });
  return !tx.failed();
}

const char* encoding(const Segment& segment, const shm::Entry& entry) noexcept {
  const auto& root = entry.root<SetRoot>();
  bool integers = count(root) <= 512;
  if (integers) for_each(segment, root, [&](Bytes member) { integers = integers && is_decimal(member); });
  return integers ? "intset" : "hashtable";
}

}  // namespace

const TypeRow kRow{Type::kSet, "set", sizeof(SetRoot), blocks, destroy, check, copy, encoding};

}  // namespace shoal::set
