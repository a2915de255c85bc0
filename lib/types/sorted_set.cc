// SPDX-License-Identifier: MIT
#include "types/sorted_set.h"
#include "types/dict_check.h"

#include <algorithm>
#include <bit>

#include "base/hash.h"

namespace shoal::sorted_set {

namespace {

using shm::SkipLink;
using shm::SortedSetNode;
using shm::SortedSetRoot;

uint64_t hash_of(const Segment& segment, Bytes member) noexcept {
  return hash_bytes(member, segment.header().hash_seed);
}
uint64_t node_hash(const Segment& segment, uint64_t node) noexcept {
  return hash_of(segment, node_at(segment, node).member());
}

// A quarter of the nodes of a level have the next one too.
uint32_t levels_of(uint64_t hash) noexcept {
  hash = (hash ^ hash >> 33) * 0xff51afd7ed558ccdu;
  hash ^= hash >> 33;
  const auto zeros = static_cast<uint32_t>(std::countr_zero(hash | uint64_t{1} << 60));
  return std::min(1 + zeros / 2, kLevelsMax);
}

bool less(const Node& node, double score, Bytes member) noexcept {
  return node.score < score || (node.score == score && node.member() < member);
}

// The last links before a place, from the head's on, and their ranks (the head's is 0, the first node's 1).
struct Path {
  const SkipLink* links[kLevelsMax];
  uint64_t rank[kLevelsMax];
  uint64_t node;  // that level 0's links belong to, 0 = the head
};

void find_place(const Segment& segment, const SortedSetRoot& root, double score, Bytes member, Path& path) noexcept {
  const auto* links = segment.pointer<SkipLink>(root.head);
  uint64_t rank = 0;
  path.node = 0;
  for (uint32_t level = root.levels; level-- > 0;) {
    while (links[level].next != 0 && less(node_at(segment, links[level].next), score, member)) {
      rank += links[level].span;
      path.node = links[level].next;
      links = node_at(segment, path.node).links();
    }
    path.links[level] = links;
    path.rank[level] = rank;
  }
}

// A head with room for `levels`, made or replaced.
bool enlarge_head(Transaction& tx, const SortedSetRoot& root, uint32_t levels) noexcept {
  if (levels <= root.head_levels) return true;
  const uint32_t room = std::max(4u, std::bit_ceil(levels));
  auto* links = tx.create<SkipLink>(room * sizeof(SkipLink));
  if (links == nullptr) return false;
  std::memset(links, 0, room * sizeof(SkipLink));
  if (root.head != 0) {
    std::memcpy(links, tx.segment().pointer<SkipLink>(root.head), root.levels * sizeof(SkipLink));
    tx.free(root.head);
  }
  tx.edit(root.head) = tx.offset_of(links);
  tx.edit(root.head_levels) = room;
  return !tx.failed();
}

// Puts a node into the order; `total` is the number of nodes there already. A fresh node's own links are not
// journalled.
void link(Transaction& tx, const SortedSetRoot& root, uint64_t offset, uint64_t total, bool fresh) noexcept {
  const auto& node = tx.view<Node>(offset);
  const auto* head = tx.segment().pointer<SkipLink>(root.head);
  for (uint32_t level = root.levels; level < node.levels; ++level) tx.edit(head[level]) = {0, total};
  if (node.levels > root.levels) tx.edit(root.levels) = node.levels;
  if (tx.failed()) return;  // a first node would find no level to stand in
  Path path;
  find_place(tx.segment(), root, node.score, node.member(), path);
  const uint64_t rank = path.rank[0];
  const uint64_t next = path.links[0][0].next;
  for (uint32_t level = 0; level < root.levels && !tx.failed(); ++level) {
    const SkipLink& before = path.links[level][level];
    if (level >= node.levels) {
      tx.edit(before.span) += 1;
      continue;
    }
    const uint64_t passed = rank - path.rank[level];
    const SkipLink own{before.next, before.span - passed};
    (fresh ? const_cast<SkipLink&>(node.links()[level]) : tx.edit(node.links()[level])) = own;
    tx.edit(before) = {offset, passed + 1};
  }
  (fresh ? const_cast<Node&>(node).previous : tx.edit(node.previous)) = path.node;
  tx.edit(next == 0 ? root.tail : tx.view<Node>(next).previous) = offset;
}

void unlink(Transaction& tx, const SortedSetRoot& root, uint64_t offset) noexcept {
  const auto& node = tx.view<Node>(offset);
  Path path;
  find_place(tx.segment(), root, node.score, node.member(), path);
  for (uint32_t level = 0; level < root.levels && !tx.failed(); ++level) {
    const SkipLink& before = path.links[level][level];
    if (level >= node.levels) {
      tx.edit(before.span) -= 1;
    } else {
      tx.edit(before) = {node.links()[level].next, before.span + node.links()[level].span - 1};
    }
  }
  const uint64_t next = node.links()[0].next;
  tx.edit(next == 0 ? root.tail : tx.view<Node>(next).previous) = node.previous;
  const auto* head = tx.segment().pointer<SkipLink>(root.head);
  uint32_t levels = root.levels;
  while (levels > 1 && head[levels - 1].next == 0) --levels;
  if (levels != root.levels) tx.edit(root.levels) = levels;
}

}  // namespace

uint64_t find(const Segment& segment, const SortedSetRoot& root, Bytes member) noexcept {
  const Dict::Slot* slot = Dict::find(segment, root.members, hash_of(segment, member),
                                      [&](uint64_t node) { return node_at(segment, node).member() == member; });
  return slot == nullptr ? 0 : Dict::item_of(*slot);
}

uint64_t rank(const Segment& segment, const SortedSetRoot& root, uint64_t node) noexcept {
  const Node& wanted = node_at(segment, node);
  return count_before(segment, root, [&](const Node& other) { return less(other, wanted.score, wanted.member()); });
}

uint64_t at_rank(const Segment& segment, const SortedSetRoot& root, uint64_t rank) noexcept {
  if (rank >= count(root)) return 0;
  if (rank + 1 == count(root)) return root.tail;
  const auto* links = segment.pointer<SkipLink>(root.head);
  uint64_t left = rank + 1;  // the head stands before rank 0
  for (uint32_t level = root.levels; level-- > 0;) {
    while (links[level].next != 0 && links[level].span <= left) {
      left -= links[level].span;
      if (left == 0) return links[level].next;
      links = node_at(segment, links[level].next).links();
    }
  }
  return 0;
}

bool add(Transaction& tx, const SortedSetRoot& root, Bytes member, double score) noexcept {
  const uint64_t hash = hash_of(tx.segment(), member), total = count(root);
  const uint32_t levels = levels_of(hash);
  if (!enlarge_head(tx, root, levels)) return false;
  auto* node = tx.create<Node>(sizeof(Node) + levels * sizeof(SkipLink) + member.size());
  if (node == nullptr) return false;
  *node = {score, 0, static_cast<uint32_t>(member.size()), levels};
  auto* links = reinterpret_cast<SkipLink*>(node + 1);
  std::memset(links, 0, levels * sizeof(SkipLink));
  copy_bytes(links + levels, member);
  const uint64_t offset = tx.offset_of(node);
  link(tx, root, offset, total, true);
  if (tx.failed()) return false;
  Dict::insert(tx, root.members, hash, offset, node_hash);
  return !tx.failed();
}

void set_score(Transaction& tx, const SortedSetRoot& root, uint64_t offset, double score) noexcept {
  const auto& node = tx.view<Node>(offset);
  const uint64_t before = node.previous, after = node.links()[0].next;
  const bool stays = (before == 0 || less(tx.view<Node>(before), score, node.member())) &&
                     (after == 0 || !less(tx.view<Node>(after), score, node.member()));
  if (stays) {
    tx.edit(node.score) = score;
    return;
  }
  unlink(tx, root, offset);
  tx.edit(node.score) = score;
  link(tx, root, offset, count(root) - 1, false);
}

void remove(Transaction& tx, const SortedSetRoot& root, uint64_t offset) noexcept {
  unlink(tx, root, offset);
  if (tx.failed()) return;
  Dict::remove(tx, root.members, node_hash(tx.segment(), offset), offset);
  tx.free(offset);
  if (count(root) > 0) return;
  tx.free(root.head);
  tx.edit(root.head) = 0;
  tx.edit(root.levels) = 0;
  tx.edit(root.head_levels) = 0;
}

namespace {

uint64_t blocks(const Segment&, const shm::Entry& entry) noexcept { return count(entry.root<SortedSetRoot>()) + 1; }

bool destroy(Transaction& tx, const shm::Entry& entry, uint32_t budget) noexcept {
  const auto& root = entry.root<SortedSetRoot>();
  while (count(root) > 0 && budget-- > 0 && !tx.failed()) remove(tx, root, root.tail);
  return count(root) == 0;
}

// Level by level: the nodes that should be on it are, in order, with true spans.
bool check_level(const Segment& segment, const SortedSetRoot& root, uint32_t level) noexcept {
  const SkipLink* at = segment.pointer<SkipLink>(root.head) + level;
  uint64_t distance = 0;
  for (uint64_t node = segment.pointer<SkipLink>(root.head)->next; node != 0; node = next(segment, node)) {
    ++distance;
    if (node_at(segment, node).levels <= level) continue;
    if (at->next != node || at->span != distance) return false;
    at = node_at(segment, node).links() + level;
    distance = 0;
  }
  return at->next == 0 && at->span == distance;
}

bool check(const Segment& segment, const shm::Entry& entry, VisitBlock visit, void* context) noexcept {
  const auto& root = entry.root<SortedSetRoot>();
  if (!for_each_doubtful(segment, root.members, [](uint64_t) {})) return false;
  bool good = true;
  Dict::for_each_block(segment, root.members, [&](uint64_t block) { good = visit(context, block) && good; });
  if (root.head == 0) return good && count(root) == 0 && root.tail == 0 && root.levels == 0;
  if (!good || !visit(context, root.head) || root.levels > root.head_levels || root.levels == 0) return false;
  uint64_t seen = 0, before = 0;
  for (uint64_t offset = segment.pointer<SkipLink>(root.head)->next; offset != 0; ++seen) {
    if (!visit(context, offset)) return false;
    const Node& node = node_at(segment, offset);
    if (node.previous != before || node.levels != levels_of(node_hash(segment, offset))) return false;
    if (before != 0 && !less(node_at(segment, before), node.score, node.member())) return false;
    if (find(segment, root, node.member()) != offset || node.levels > root.levels) return false;
    before = offset;
    offset = node.links()[0].next;
  }
  if (seen != count(root) || before != root.tail) return false;
  for (uint32_t level = 0; level < root.levels; ++level) good = good && check_level(segment, root, level);
  return good;
}

bool copy(Transaction& tx, const shm::Entry& from, std::byte* value) noexcept {
  auto& root = *reinterpret_cast<SortedSetRoot*>(value);
  std::memset(value, 0, sizeof root);
  uint64_t at = at_rank(tx.segment(), from.root<SortedSetRoot>(), 0);
  for (; at != 0 && !tx.failed(); at = next(tx.segment(), at)) {
    const Node& node = node_at(tx.segment(), at);
    add(tx, root, node.member(), node.score);
  }
  return !tx.failed();
}

// What Redis would say with its default limits: 128 elements, 64 bytes.
const char* encoding(const Segment& segment, const shm::Entry& entry) noexcept {
  const auto& root = entry.root<SortedSetRoot>();
  bool small = count(root) <= 128;
  if (small) {
    Dict::for_each(segment, root.members,
                   [&](uint64_t node) { small = small && node_at(segment, node).member_bytes <= 64; });
  }
  return small ? "listpack" : "skiplist";
}

}  // namespace

const TypeRow kRow{Type::kSortedSet, "zset", sizeof(SortedSetRoot), blocks, destroy, check, copy, encoding};

}  // namespace shoal::sorted_set
