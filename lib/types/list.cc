// SPDX-License-Identifier: MIT
#include "types/list.h"

#include <algorithm>
#include <array>
#include <bit>

namespace shoal::list {

namespace {

using shm::BlobRoot;
using shm::ListFill;
using shm::ListNode;
using shm::ListRoot;

constexpr uint32_t kNodeBytesMin = 64, kBlobLength = 0x7fff;

// ---- An element's bytes in a node ----

struct Shape {
  uint32_t length;        // of the bytes between the two lengths
  uint32_t length_bytes;  // of each of the two
  bool blob;
  uint32_t total() const noexcept { return length + 2 * length_bytes; }
};

constexpr Shape shape_of(uint32_t code) noexcept {
  if (code == kBlobLength) return {sizeof(BlobRoot), 2, true};
  return {code, code < 0x80 ? 1u : 2u, false};
}
Shape read_forward(const uint8_t* place) noexcept {
  return shape_of(place[0] < 0x80 ? place[0] : (place[0] & 0x7fu) << 8 | place[1]);
}
Shape read_backward(const uint8_t* end) noexcept {
  return shape_of(end[-1] < 0x80 ? end[-1] : (end[-1] & 0x7fu) << 8 | end[-2]);
}

// An element ready to be copied into a node.
struct Packed {
  uint32_t bytes = 0;
  std::array<uint8_t, kInsideMax + 4> data;
};

void pack(Packed& packed, uint32_t code, Bytes bytes) noexcept {
  const Shape shape = shape_of(code);
  packed.bytes = shape.total();
  uint8_t* front = packed.data.data();
  uint8_t* back = front + packed.bytes - 1;
  if (shape.length_bytes == 1) {
    *front++ = *back = static_cast<uint8_t>(code);
  } else {
    *front++ = *back-- = static_cast<uint8_t>(0x80 | code >> 8);
    *front++ = *back = static_cast<uint8_t>(code);
  }
  copy_bytes(front, bytes);
}

// Packs the bytes, or the root of a new blob that holds them. How many blocks that took; -1 when memory ran out.
int64_t pack_bytes(Transaction& tx, Packed& packed, Bytes bytes) noexcept {
  if (bytes.size() <= kInsideMax) {
    pack(packed, static_cast<uint32_t>(bytes.size()), bytes);
    return 0;
  }
  StoredBytes stored;
  stored.blob = string::create_blob(tx, &bytes, 1);
  if (tx.failed()) return -1;
  pack(packed, kBlobLength, {reinterpret_cast<const char*>(&stored.blob), sizeof stored.blob});
  return static_cast<int64_t>(stored.blocks());
}

// ---- Nodes ----

const ListNode& node_at(const Segment& segment, uint64_t node) noexcept { return *segment.pointer<ListNode>(node); }
const uint8_t* bytes_of(const ListNode& node) noexcept { return reinterpret_cast<const uint8_t*>(&node + 1); }

StoredBytes stored_at(const uint8_t* place) noexcept {
  const Shape shape = read_forward(place);
  StoredBytes stored;
  if (shape.blob) {
    std::memcpy(&stored.blob, place + shape.length_bytes, sizeof(BlobRoot));
  } else {
    stored.inside = {reinterpret_cast<const char*>(place) + shape.length_bytes, shape.length};
  }
  return stored;
}

// A node with room for `room` bytes of elements, not linked yet. nullptr when memory ran out.
ListNode* create_node(Transaction& tx, uint64_t room) noexcept {
  const uint64_t wanted = std::clamp<uint64_t>(std::bit_ceil(sizeof(ListNode) + room), kNodeBytesMin, kNodeBytesMax);
  auto* node = tx.create<ListNode>(wanted);
  if (node == nullptr) return nullptr;
  const auto capacity = static_cast<uint32_t>(wanted - sizeof(ListNode));
  *node = {0, 0, {0, 0, 0, capacity}};
  return node;
}

uint8_t* mutable_bytes(ListNode* node) noexcept { return reinterpret_cast<uint8_t*>(node + 1); }

// The links of the neighbours and the root that point at a place between `previous` and `next`.
void point_at(Transaction& tx, const ListRoot& root, uint64_t previous, uint64_t next, uint64_t first,
              uint64_t last) noexcept {
  tx.edit(previous == 0 ? root.head : tx.view<ListNode>(previous).next) = first;
  tx.edit(next == 0 ? root.tail : tx.view<ListNode>(next).previous) = last;
}

// Links a fresh node in between.
void link(Transaction& tx, const ListRoot& root, ListNode* node, uint64_t previous, uint64_t next) noexcept {
  node->previous = previous;
  node->next = next;
  const uint64_t offset = tx.offset_of(node);
  point_at(tx, root, previous, next, offset, offset);
  tx.edit(root.blocks) += 1;
}

void unlink(Transaction& tx, const ListRoot& root, uint64_t offset) noexcept {
  const auto& node = tx.view<ListNode>(offset);
  point_at(tx, root, node.previous, node.next, node.next, node.previous);
  tx.edit(root.blocks) -= 1;
  tx.free(offset);
}

// Puts a fresh node in the place of another.
void exchange(Transaction& tx, const ListRoot& root, const ListNode& old_node, ListNode* node) noexcept {
  node->previous = old_node.previous;
  node->next = old_node.next;
  const uint64_t offset = tx.offset_of(node);
  point_at(tx, root, node->previous, node->next, offset, offset);
  tx.free(tx.offset_of(&old_node));
}

bool has_room(const ListFill& fill, End end, uint32_t bytes) noexcept {
  return end == End::kHead ? fill.begin >= bytes : fill.capacity - fill.end >= bytes;
}

// A copy of the node with room for `bytes` more at `end`; nullptr if a node of its own is the better place, or no
// memory.
ListNode* enlarge(Transaction& tx, const ListNode& node, End end, uint32_t bytes) noexcept {
  const uint32_t used = node.fill.end - node.fill.begin;
  const bool half_empty = 2 * (used + bytes) <= node.fill.capacity;
  const uint64_t room = half_empty ? node.fill.capacity : 2 * uint64_t{used} + bytes;
  if (!half_empty && sizeof(ListNode) + used + bytes > kNodeBytesMax) return nullptr;
  ListNode* copy = create_node(tx, std::min<uint64_t>(room, kNodeBytesMax - sizeof(ListNode)));
  if (copy == nullptr) return nullptr;
  ListFill& fill = copy->fill;
  fill.begin = end == End::kHead ? fill.capacity - used : 0;
  fill.end = fill.begin + used;
  fill.count = node.fill.count;
  std::memcpy(mutable_bytes(copy) + fill.begin, bytes_of(node) + node.fill.begin, used);
  return copy;
}

void add_to_fresh(ListNode* node, End end, const Packed& packed) noexcept {
  ListFill& fill = node->fill;
  if (end == End::kHead) fill.begin -= packed.bytes;
  std::memcpy(mutable_bytes(node) + (end == End::kHead ? fill.begin : fill.end), packed.data.data(), packed.bytes);
  if (end == End::kTail) fill.end += packed.bytes;
  ++fill.count;
}

bool push_packed(Transaction& tx, const ListRoot& root, End end, const Packed& packed) noexcept {
  const uint64_t outer = end == End::kHead ? root.head : root.tail;
  if (outer != 0) {
    const auto& node = tx.view<ListNode>(outer);
    ListFill fill = node.fill;
    if (has_room(fill, end, packed.bytes)) {
      if (end == End::kHead) fill.begin -= packed.bytes;
      const uint8_t* place = bytes_of(node) + (end == End::kHead ? fill.begin : fill.end);
      std::memcpy(tx.edit_bytes(place, packed.bytes), packed.data.data(), packed.bytes);
      if (end == End::kTail) fill.end += packed.bytes;
      ++fill.count;
      tx.edit(node.fill) = fill;
      tx.edit(root.count) += 1;
      return !tx.failed();
    }
    if (ListNode* copy = enlarge(tx, node, end, packed.bytes); copy != nullptr) {
      add_to_fresh(copy, end, packed);
      exchange(tx, root, node, copy);
      tx.edit(root.count) += 1;
      return !tx.failed();
    }
    if (tx.failed()) return false;
  }
  // The first node is small; one beside others will fill up like them.
  ListNode* node = create_node(tx, outer == 0 ? packed.bytes : kNodeBytesMax - sizeof(ListNode));
  if (node == nullptr) return false;
  if (end == End::kHead) node->fill.begin = node->fill.end = node->fill.capacity;
  add_to_fresh(node, end, packed);
  if (end == End::kHead) {
    link(tx, root, node, 0, outer);
  } else {
    link(tx, root, node, outer, 0);
  }
  tx.edit(root.count) += 1;
  return !tx.failed();
}

// Puts `packed` in the place of the bytes [from, to) of a node, of which `removed` elements go: by a copy, or two if
// it grew too long.
bool rebuild(Transaction& tx, const ListRoot& root, const ListNode& node, uint32_t from, uint32_t to, uint32_t removed,
             uint32_t before, const Packed& packed) noexcept {
  const ListFill old = node.fill;
  const uint32_t left = from - old.begin, right = old.end - to, after = old.count - before - removed;
  const uint8_t* data = bytes_of(node);
  const bool one = sizeof(ListNode) + left + packed.bytes + right <= kNodeBytesMax;
  const bool with_left = one || left <= right;  // which half gets the new element
  ListNode* first = create_node(tx, one ? left + packed.bytes + right : left + (with_left ? packed.bytes : 0));
  if (first == nullptr) return false;
  uint8_t* out = mutable_bytes(first);
  const auto put = [&out](const uint8_t* bytes, uint32_t count) { out = std::copy_n(bytes, count, out); };
  put(data + old.begin, left);
  if (with_left) put(packed.data.data(), packed.bytes);
  if (one) put(data + to, right);
  first->fill.end = static_cast<uint32_t>(out - mutable_bytes(first));
  first->fill.count = before + (with_left ? 1 : 0) + (one ? after : 0);
  exchange(tx, root, node, first);
  if (one) return !tx.failed();

  ListNode* second = create_node(tx, right + (with_left ? 0 : packed.bytes));
  if (second == nullptr) return false;
  out = mutable_bytes(second);
  if (!with_left) put(packed.data.data(), packed.bytes);
  put(data + to, right);
  second->fill.end = static_cast<uint32_t>(out - mutable_bytes(second));
  second->fill.count = after + (with_left ? 0 : 1);
  link(tx, root, second, tx.offset_of(first), first->next);
  return !tx.failed();
}

}  // namespace

// ---- Walking ----

Cursor first(const Segment& segment, const ListRoot& root) noexcept {
  if (root.head == 0) return {};
  return {root.head, node_at(segment, root.head).fill.begin, 0};
}

Cursor last(const Segment& segment, const ListRoot& root) noexcept { return previous(segment, root, {}); }

StoredBytes element(const Segment& segment, const Cursor& cursor) noexcept {
  return stored_at(bytes_of(node_at(segment, cursor.node)) + cursor.at);
}

Cursor next(const Segment& segment, const Cursor& cursor) noexcept {
  const ListNode& node = node_at(segment, cursor.node);
  if (cursor.index + 1 < node.fill.count) {
    return {cursor.node, cursor.at + read_forward(bytes_of(node) + cursor.at).total(), cursor.index + 1};
  }
  if (node.next == 0) return {};
  return {node.next, node_at(segment, node.next).fill.begin, 0};
}

Cursor previous(const Segment& segment, const ListRoot& root, const Cursor& cursor) noexcept {
  uint64_t offset = cursor.node;
  uint32_t end = cursor.at, index = cursor.index;
  if (offset == 0 || index == 0) {
    offset = offset == 0 ? root.tail : node_at(segment, offset).previous;
    if (offset == 0) return {};
    end = node_at(segment, offset).fill.end;
    index = node_at(segment, offset).fill.count;
  }
  return {offset, end - read_backward(bytes_of(node_at(segment, offset)) + end).total(), index - 1};
}

Cursor seek(const Segment& segment, const ListRoot& root, uint64_t index) noexcept {
  const bool from_head = index < root.count / 2;
  uint64_t offset = from_head ? root.head : root.tail;
  uint64_t left = from_head ? index : root.count - 1 - index;  // elements to pass
  while (left >= node_at(segment, offset).fill.count) {
    const ListNode& node = node_at(segment, offset);
    left -= node.fill.count;
    offset = from_head ? node.next : node.previous;
  }
  const ListFill& fill = node_at(segment, offset).fill;
  const auto in_node = static_cast<uint32_t>(from_head ? left : fill.count - 1 - left);
  Cursor cursor{offset, fill.begin, 0};
  if (in_node < fill.count / 2) {
    while (cursor.index < in_node) cursor = next(segment, cursor);
    return cursor;
  }
  cursor = {offset, fill.end, fill.count};
  while (cursor.index > in_node) cursor = previous(segment, root, cursor);
  return cursor;
}

// ---- Changing ----

bool push(Transaction& tx, const ListRoot& root, End end, Bytes bytes) noexcept {
  Packed packed;
  const int64_t blocks = pack_bytes(tx, packed, bytes);
  if (blocks < 0) return false;
  if (blocks > 0) tx.edit(root.blocks) += static_cast<uint64_t>(blocks);
  return push_packed(tx, root, end, packed);
}

bool push_stored(Transaction& tx, const ListRoot& root, End end, const StoredBytes& stored) noexcept {
  if (!stored.is_blob()) return push(tx, root, end, stored.inside);
  Packed packed;
  pack(packed, kBlobLength, {reinterpret_cast<const char*>(&stored.blob), sizeof stored.blob});
  tx.edit(root.blocks) += stored.blocks();
  return push_packed(tx, root, end, packed);
}

StoredBytes pop(Transaction& tx, const ListRoot& root, End end) noexcept {
  const uint64_t offset = end == End::kHead ? root.head : root.tail;
  const auto& node = tx.view<ListNode>(offset);
  ListFill fill = node.fill;
  const uint8_t* data = bytes_of(node);
  const uint32_t total =
      end == End::kHead ? read_forward(data + fill.begin).total() : read_backward(data + fill.end).total();
  const StoredBytes stored = stored_at(data + (end == End::kHead ? fill.begin : fill.end - total));
  if (fill.count == 1) {
    unlink(tx, root, offset);
  } else {
    if (end == End::kHead) {
      fill.begin += total;
    } else {
      fill.end -= total;
    }
    --fill.count;
    tx.edit(node.fill) = fill;
  }
  tx.edit(root.count) -= 1;
  if (stored.is_blob()) tx.edit(root.blocks) -= stored.blocks();
  return stored;
}

// Whole nodes go at once; the last one is cut.
void drop(Transaction& tx, const ListRoot& root, End end, uint64_t count) noexcept {
  while (count > 0 && !tx.failed()) {
    const uint64_t offset = end == End::kHead ? root.head : root.tail;
    const auto& node = tx.view<ListNode>(offset);
    const uint8_t* data = bytes_of(node);
    ListFill fill = node.fill;
    const auto dropped = static_cast<uint32_t>(std::min<uint64_t>(count, fill.count));
    uint64_t pieces = 0;
    for (uint32_t i = 0; i < dropped; ++i) {
      const uint32_t total =
          (end == End::kHead ? read_forward(data + fill.begin) : read_backward(data + fill.end)).total();
      const StoredBytes stored = stored_at(data + (end == End::kHead ? fill.begin : fill.end - total));
      stored.release(tx);
      pieces += stored.blocks();
      (end == End::kHead ? fill.begin : fill.end) += end == End::kHead ? total : 0 - total;
    }
    if (pieces > 0) tx.edit(root.blocks) -= pieces;
    tx.edit(root.count) -= dropped;
    count -= dropped;
    fill.count -= dropped;
    if (fill.count == 0) {
      unlink(tx, root, offset);
    } else {
      tx.edit(node.fill) = fill;
    }
  }
}

bool replace(Transaction& tx, const ListRoot& root, const Cursor& at, Bytes bytes) noexcept {
  const auto& node = tx.view<ListNode>(at.node);
  const uint8_t* place = bytes_of(node) + at.at;
  const Shape old_shape = read_forward(place);
  const StoredBytes old_bytes = stored_at(place);
  Packed packed;
  const int64_t blocks = pack_bytes(tx, packed, bytes);
  if (blocks < 0) return false;
  const int64_t difference = blocks - static_cast<int64_t>(old_bytes.blocks());
  if (difference != 0) tx.edit(root.blocks) += static_cast<uint64_t>(difference);
  old_bytes.release(tx);
  if (packed.bytes == old_shape.total()) {
    std::memcpy(tx.edit_bytes(place, packed.bytes), packed.data.data(), packed.bytes);
    return !tx.failed();
  }
  return rebuild(tx, root, node, at.at, at.at + old_shape.total(), 1, at.index, packed);
}

bool insert(Transaction& tx, const ListRoot& root, const Cursor& at, bool after, Bytes bytes) noexcept {
  const auto& node = tx.view<ListNode>(at.node);
  const uint32_t index = at.index + (after ? 1 : 0);
  if (index == 0 && node.previous == 0) return push(tx, root, End::kHead, bytes);
  if (index == node.fill.count && node.next == 0) return push(tx, root, End::kTail, bytes);
  Packed packed;
  const int64_t blocks = pack_bytes(tx, packed, bytes);
  if (blocks < 0) return false;
  if (blocks > 0) tx.edit(root.blocks) += static_cast<uint64_t>(blocks);
  const uint32_t place = after ? at.at + read_forward(bytes_of(node) + at.at).total() : at.at;
  tx.edit(root.count) += 1;
  return rebuild(tx, root, node, place, place, 0, index, packed);
}

Cursor erase(Transaction& tx, const ListRoot& root, const Cursor& at) noexcept {
  const auto& node = tx.view<ListNode>(at.node);
  const uint8_t* data = bytes_of(node);
  const StoredBytes old_bytes = stored_at(data + at.at);
  ListFill fill = node.fill;
  const uint32_t total = read_forward(data + at.at).total(), left = at.at - fill.begin,
                 right = fill.end - at.at - total;
  const uint64_t next_node = node.next;
  old_bytes.release(tx);
  if (old_bytes.is_blob()) tx.edit(root.blocks) -= old_bytes.blocks();
  tx.edit(root.count) -= 1;
  Cursor behind = at;
  if (at.index + 1 == fill.count) {
    behind = next_node == 0 ? Cursor{} : Cursor{next_node, tx.view<ListNode>(next_node).fill.begin, 0};
  }
  if (fill.count == 1) {
    unlink(tx, root, at.node);
    return behind;
  }
  if (left < right) {
    if (left > 0) {
      auto* mutable_data = reinterpret_cast<uint8_t*>(tx.edit_bytes(data + fill.begin, left + total));
      std::memmove(mutable_data + total, mutable_data, left);
    }
    fill.begin += total;
    if (behind.node == at.node) behind.at += total;
  } else {
    if (right > 0) {
      auto* mutable_data = reinterpret_cast<uint8_t*>(tx.edit_bytes(data + at.at, total + right));
      std::memmove(mutable_data, mutable_data + total, right);
    }
    fill.end -= total;
  }
  --fill.count;
  tx.edit(node.fill) = fill;
  return behind;
}

// ---- The type's row ----

namespace {

uint64_t blocks(const Segment&, const shm::Entry& entry) noexcept { return entry.root<ListRoot>().blocks; }

// Element by element from the head. A long blob goes piece by piece: its root in the node says what is left of it.
bool destroy(Transaction& tx, const shm::Entry& entry, uint32_t budget) noexcept {
  const auto& root = entry.root<ListRoot>();
  while (root.count > 0 && budget > 0 && !tx.failed()) {
    const auto& node = tx.view<ListNode>(root.head);
    const uint8_t* place = bytes_of(node) + node.fill.begin;
    BlobRoot blob = stored_at(place).blob;
    if (blob.first == 0) {
      if (node.fill.count == 1) --budget;
      pop(tx, root, End::kHead);
      continue;
    }
    const auto& piece = tx.view<shm::BlobPiece>(blob.first);
    if (piece.next == 0) {
      pop(tx, root, End::kHead).release(tx);
    } else {
      const uint64_t before = StoredBytes{{}, blob}.blocks();
      tx.free(blob.first);
      blob.first = piece.next;
      blob.bytes -= piece.bytes;
      std::memcpy(tx.edit_bytes(place + 2, sizeof blob), &blob, sizeof blob);
      tx.edit(root.blocks) -= before - StoredBytes{{}, blob}.blocks();
    }
    --budget;
  }
  return root.count == 0;
}

bool check_node(const Segment& segment, const ListNode& node, VisitBlock visit, void* context,
                uint64_t& blocks) noexcept {
  const ListFill& fill = node.fill;
  if (fill.count == 0 || fill.begin > fill.end || fill.end > fill.capacity) return false;
  if (fill.capacity > kNodeBytesMax - sizeof(ListNode)) return false;
  uint32_t count = 0, at = fill.begin;
  for (; at < fill.end; ++count) {
    const Shape forward = read_forward(bytes_of(node) + at);
    if (forward.total() > fill.end - at) return false;
    if (read_backward(bytes_of(node) + at + forward.total()).total() != forward.total()) return false;
    const StoredBytes stored = stored_at(bytes_of(node) + at);
    if (!stored.check(segment, [&](uint64_t piece) { return visit(context, piece); })) return false;
    blocks += stored.blocks();
    at += forward.total();
  }
  return at == fill.end && count == fill.count;
}

bool check(const Segment& segment, const shm::Entry& entry, VisitBlock visit, void* context) noexcept {
  const auto& root = entry.root<ListRoot>();
  uint64_t count = 0, blocks = 0, before = 0;
  for (uint64_t offset = root.head; offset != 0; ++blocks) {
    if (!visit(context, offset)) return false;
    const ListNode& node = node_at(segment, offset);
    if (node.previous != before || !check_node(segment, node, visit, context, blocks)) return false;
    count += node.fill.count;
    before = offset;
    offset = node.next;
  }
  return before == root.tail && count == root.count && blocks == root.blocks;
}

bool copy(Transaction& tx, const shm::Entry& from, std::byte* value) noexcept {
  auto& root = *reinterpret_cast<ListRoot*>(value);
  std::memset(value, 0, sizeof root);
  for (Cursor at = first(tx.segment(), from.root<ListRoot>()); !at.is_end() && !tx.failed();
       at = next(tx.segment(), at)) {
    StoredBytes stored = element(tx.segment(), at);
    if (stored.is_blob()) stored.blob = string::copy_blob(tx, stored.blob);
    if (!tx.failed()) push_stored(tx, root, End::kTail, stored);
  }
  return !tx.failed();
}

// Redis 7.0 knows no other.
const char* encoding(const Segment&, const shm::Entry&) noexcept { return "quicklist"; }

}  // namespace

const TypeRow kRow{Type::kList, "list", sizeof(ListRoot), blocks, destroy, check, copy, encoding};

}  // namespace shoal::list
