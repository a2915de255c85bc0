// SPDX-License-Identifier: MIT
// cmd_list.cc: commands of lists, those that wait included.
#include "commands/cmd_list.h"

#include "commands/blocking.h"
#include "commands/family.h"
#include "types/list.h"

namespace shoal {

namespace {

using list::Cursor;
using list::End;
using shm::ListRoot;

void push(Call& call, End end, bool only_existing) noexcept {
  const Key key = call.key(1);
  Found<ListRoot> found = call.write<ListRoot>(key);
  if (found.wrong_type) return;
  if (found.entry == nullptr) {
    if (only_existing) return call.reply().integer(0);
    found = call.create<ListRoot>(key);
    if (found.entry == nullptr) return;
  }
  for (size_t i = 2; i < call.argc(); ++i) {
    if (!list::push(call.tx(), *found.root, end, call.arg(i))) return;
  }
  call.changed(key, *found.entry);
  call.ready(key);
  call.reply().integer(static_cast<int64_t>(found.root->count));
}

// Pops and answers one element.
void pop_one(Call& call, const ListRoot& root, End end) noexcept {
  const StoredBytes popped = list::pop(call.tx(), root, end);
  reply_bulk(call, popped);
  popped.release(call.tx());
}

// Pops and answers an array.
void pop_many(Call& call, const ListRoot& root, End end, uint64_t count) noexcept {
  call.reply().array(static_cast<uint32_t>(count));
  for (uint64_t i = 0; i < count && !call.tx().failed() && !call.reply().overflow(); ++i) pop_one(call, root, end);
}

void pop(Call& call, End end) noexcept {
  if (call.argc() > 3) {
    return call.error(end == End::kHead ? "ERR wrong number of arguments for 'lpop' command"
                                        : "ERR wrong number of arguments for 'rpop' command");
  }
  const bool has_count = call.argc() == 3;
  int64_t count = 1;
  if (has_count && !range_arg(call, 2, 0, INT64_MAX, count, kMustBePositive)) return;
  const Key key = call.key(1);
  const Found<ListRoot> found = call.write<ListRoot>(key);
  if (found.wrong_type) return;
  if (found.entry == nullptr) return has_count ? call.reply().null_array() : call.reply().null();
  if (has_count && count == 0) return call.reply().array(0);
  if (has_count) {
    pop_many(call, *found.root, end, std::min(static_cast<uint64_t>(count), found.root->count));
  } else {
    pop_one(call, *found.root, end);
  }
  finish_change(call, key, *found.entry, found.root->count);
}

bool end_arg(Call& call, size_t index, End& end) noexcept {
  if (call.arg_is(index, "LEFT")) {
    end = End::kHead;
  } else if (call.arg_is(index, "RIGHT")) {
    end = End::kTail;
  } else {
    call.error(kSyntaxError);
    return false;
  }
  return true;
}

// Moves an element from a list that has one, and answers it.
void move(Call& call, const Key& from, const Found<ListRoot>& source, const Key& to, End take, End put) noexcept {
  const bool same = from.name == to.name;
  Found<ListRoot> target = same ? source : call.write<ListRoot>(to);
  if (target.wrong_type) return;
  if (target.entry == nullptr) {
    target = call.create<ListRoot>(to);
    if (target.entry == nullptr) return;
  }
  const StoredBytes moved = list::pop(call.tx(), *source.root, take);
  if (!list::push_stored(call.tx(), *target.root, put, moved)) return;
  if (!same) finish_change(call, from, *source.entry, source.root->count);
  call.changed(to, *target.entry);
  call.ready(to);
  reply_bulk(call, moved);
}

void move(Call& call, End take, End put) noexcept {
  const Key from = call.key(1);
  const Found<ListRoot> source = call.write<ListRoot>(from);
  if (source.wrong_type) return;
  if (source.entry == nullptr) return call.reply().null();
  move(call, from, source, call.key(2), take, put);
}

// ---- Waiting ----

void blocking_move(Call& call, End take, End put, size_t timeout_at) noexcept {
  int64_t timeout_ms = 0;
  if (!blocking::timeout_arg(call, timeout_at, timeout_ms)) return;
  const Key from = call.key(1);
  const Found<ListRoot> source = call.write<ListRoot>(from);
  if (source.wrong_type) return;
  if (source.entry != nullptr && blocking::takeable(call, from, Type::kList, source.root->count) > 0) {
    move(call, from, source, call.key(2), take, put);
    if (!call.failed()) blocking::leave(call);
    return;
  }
  if (blocking::wait_for(call, 1, 1, Type::kList, timeout_ms)) return;
  if (call.may_block()) return call.reply().null_array();  // it waited: so Redis answers
  call.reply().null();
}

void blocking_pop(Call& call, End end) noexcept {
  int64_t timeout_ms = 0;
  const size_t last = call.argc() - 2;
  if (!blocking::timeout_arg(call, last + 1, timeout_ms)) return;
  for (size_t i = 1; i <= last; ++i) {
    const Key key = call.key(i);
    const Found<ListRoot> found = call.write<ListRoot>(key);
    if (found.wrong_type) return;
    if (found.entry == nullptr || blocking::takeable(call, key, Type::kList, found.root->count) == 0) continue;
    call.reply().array(2);
    call.reply().bulk(key.name);
    pop_one(call, *found.root, end);
    finish_change(call, key, *found.entry, found.root->count);
    return blocking::leave(call);
  }
  if (!blocking::wait_for(call, 1, last, Type::kList, timeout_ms)) call.reply().null_array();
}

struct PopArguments {
  size_t first_key = 0, last_key = 0;
  End end = End::kHead;
  int64_t count = 1;
};

// numkeys key [key ...] LEFT|RIGHT [COUNT count]
bool pop_arguments(Call& call, size_t at, PopArguments& arguments) noexcept {
  int64_t keys = 0;
  if (!range_arg(call, at, 1, INT64_MAX, keys, "ERR numkeys should be greater than 0")) return false;
  if (keys >= static_cast<int64_t>(call.argc() - at) - 1) return call.error(kSyntaxError), false;
  arguments.first_key = at + 1;
  arguments.last_key = at + static_cast<size_t>(keys);
  size_t i = arguments.last_key + 1;
  if (!end_arg(call, i, arguments.end)) return false;
  if (++i == call.argc()) return true;
  if (i + 1 == call.argc() || !call.arg_is(i, "COUNT")) return call.error(kSyntaxError), false;
  if (!range_arg(call, i + 1, 1, INT64_MAX, arguments.count, "ERR count should be greater than 0")) return false;
  return i + 2 == call.argc() || (call.error(kSyntaxError), false);
}

void multi_pop(Call& call, const PopArguments& arguments, int64_t timeout_ms, bool blocks) noexcept {
  for (size_t i = arguments.first_key; i <= arguments.last_key; ++i) {
    const Key key = call.key(i);
    const Found<ListRoot> found = call.write<ListRoot>(key);
    if (found.wrong_type) return;
    if (found.entry == nullptr) continue;
    uint64_t most = found.root->count;
    if (blocks) most = blocking::takeable(call, key, Type::kList, most);
    if (most == 0) continue;
    call.reply().array(2);
    call.reply().bulk(key.name);
    pop_many(call, *found.root, arguments.end, std::min(static_cast<uint64_t>(arguments.count), most));
    finish_change(call, key, *found.entry, found.root->count);
    if (blocks) blocking::leave(call);
    return;
  }
  if (blocks && blocking::wait_for(call, arguments.first_key, arguments.last_key, Type::kList, timeout_ms)) return;
  call.reply().null_array();
}

// ---- Finding ----

struct FindArguments {
  int64_t rank = 1, count = -1, most = 0;
};

bool find_arguments(Call& call, FindArguments& arguments) noexcept {
  for (size_t i = 3; i < call.argc(); i += 2) {
    if (i + 1 == call.argc()) return call.error(kSyntaxError), false;
    if (call.arg_is(i, "RANK")) {
      if (!call.integer_arg(i + 1, arguments.rank)) return false;
      if (arguments.rank == INT64_MIN) {
        return call.error("ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807"),
               false;
      }
      if (arguments.rank == 0) {
        call.error(
            "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to "
            "start "
            "from the end of the list");
        return false;
      }
    } else if (call.arg_is(i, "COUNT")) {
      if (!range_arg(call, i + 1, 0, INT64_MAX, arguments.count, "ERR COUNT can't be negative")) return false;
    } else if (call.arg_is(i, "MAXLEN")) {
      if (!range_arg(call, i + 1, 0, INT64_MAX, arguments.most, "ERR MAXLEN can't be negative")) return false;
    } else {
      return call.error(kSyntaxError), false;
    }
  }
  return true;
}

}  // namespace

void cmd_lpush(Call& call) { push(call, End::kHead, false); }
void cmd_rpush(Call& call) { push(call, End::kTail, false); }
void cmd_lpushx(Call& call) { push(call, End::kHead, true); }
void cmd_rpushx(Call& call) { push(call, End::kTail, true); }
void cmd_lpop(Call& call) { pop(call, End::kHead); }
void cmd_rpop(Call& call) { pop(call, End::kTail); }
void cmd_blpop(Call& call) { blocking_pop(call, End::kHead); }
void cmd_brpop(Call& call) { blocking_pop(call, End::kTail); }
void cmd_rpoplpush(Call& call) { move(call, End::kTail, End::kHead); }
void cmd_brpoplpush(Call& call) { blocking_move(call, End::kTail, End::kHead, 3); }

void cmd_lmove(Call& call) {
  End take, put;
  if (end_arg(call, 3, take) && end_arg(call, 4, put)) move(call, take, put);
}

void cmd_blmove(Call& call) {
  End take, put;
  if (end_arg(call, 3, take) && end_arg(call, 4, put)) blocking_move(call, take, put, 5);
}

void cmd_lmpop(Call& call) {
  PopArguments arguments;
  if (pop_arguments(call, 1, arguments)) multi_pop(call, arguments, 0, false);
}

void cmd_blmpop(Call& call) {
  PopArguments arguments;
  int64_t timeout_ms = 0;
  if (!pop_arguments(call, 2, arguments) || !blocking::timeout_arg(call, 1, timeout_ms)) return;
  multi_pop(call, arguments, timeout_ms, true);
}

void cmd_llen(Call& call) {
  const Found<ListRoot> found = call.read<ListRoot>(call.key(1));
  if (!found.wrong_type) call.reply().integer(found.root == nullptr ? 0 : static_cast<int64_t>(found.root->count));
}

void cmd_lindex(Call& call) {
  const Found<ListRoot> found = call.read<ListRoot>(call.key(1));
  if (found.wrong_type) return;
  if (found.root == nullptr) return call.reply().null();
  int64_t index = 0;
  if (!call.integer_arg(2, index)) return;
  const auto count = static_cast<int64_t>(found.root->count);
  if (index < 0) index += count;
  if (index < 0 || index >= count) return call.reply().null();
  const Cursor cursor = list::seek(call.segment(), *found.root, static_cast<uint64_t>(index));
  reply_bulk(call, list::element(call.segment(), cursor));
}

void cmd_lrange(Call& call) {
  int64_t from = 0, to = 0;
  if (!call.integer_arg(2, from) || !call.integer_arg(3, to)) return;
  const Found<ListRoot> found = call.read<ListRoot>(call.key(1));
  if (found.wrong_type) return;
  const IndexRange range = found.root == nullptr ? IndexRange{} : index_range(from, to, found.root->count);
  call.reply().array(static_cast<uint32_t>(range.count));
  if (range.count == 0) return;
  Cursor cursor = list::seek(call.segment(), *found.root, range.first);
  for (uint64_t i = 0; i < range.count && !call.reply().overflow(); ++i) {
    reply_bulk(call, list::element(call.segment(), cursor));
    cursor = list::next(call.segment(), cursor);
  }
}

void cmd_lset(Call& call) {
  const Key key = call.key(1);
  const Found<ListRoot> found = call.write<ListRoot>(key);
  if (found.wrong_type) return;
  if (found.entry == nullptr) return call.error(kNoSuchKey);
  int64_t index = 0;
  if (!call.integer_arg(2, index)) return;
  const auto count = static_cast<int64_t>(found.root->count);
  if (index < 0) index += count;
  if (index < 0 || index >= count) return call.error(kOutOfRange);
  const Cursor cursor = list::seek(call.segment(), *found.root, static_cast<uint64_t>(index));
  if (!list::replace(call.tx(), *found.root, cursor, call.arg(3))) return;
  call.changed(key, *found.entry);
  call.reply().ok();
}

void cmd_linsert(Call& call) {
  const bool after = call.arg_is(2, "AFTER");
  if (!after && !call.arg_is(2, "BEFORE")) return call.error(kSyntaxError);
  const Key key = call.key(1);
  const Found<ListRoot> found = call.write<ListRoot>(key);
  if (found.wrong_type) return;
  if (found.entry == nullptr) return call.reply().integer(0);
  Cursor cursor = list::first(call.segment(), *found.root);
  while (!cursor.is_end() && !list::element(call.segment(), cursor).equals(call.segment(), call.arg(3))) {
    cursor = list::next(call.segment(), cursor);
  }
  if (cursor.is_end()) return call.reply().integer(-1);
  if (!list::insert(call.tx(), *found.root, cursor, after, call.arg(4))) return;
  call.changed(key, *found.entry);
  call.ready(key);
  call.reply().integer(static_cast<int64_t>(found.root->count));
}

void cmd_lrem(Call& call) {
  int64_t wanted = 0;
  if (!call.integer_arg(2, wanted)) return;
  const Key key = call.key(1);
  const Found<ListRoot> found = call.write<ListRoot>(key);
  if (found.wrong_type) return;
  if (found.entry == nullptr) return call.reply().integer(0);
  const bool backwards = wanted < 0;
  const uint64_t most = wanted == 0 ? UINT64_MAX
                        : backwards ? 0 - static_cast<uint64_t>(wanted)
                                    : static_cast<uint64_t>(wanted);
  const Segment& segment = call.segment();
  const ListRoot& root = *found.root;
  uint64_t removed = 0;
  Cursor cursor = backwards ? list::last(segment, root) : list::first(segment, root);
  while (!cursor.is_end() && removed < most && !call.tx().failed()) {
    if (list::element(segment, cursor).equals(segment, call.arg(3))) {
      ++removed;
      cursor = list::erase(call.tx(), root, cursor);
      if (!backwards) continue;
      cursor = list::previous(segment, root, cursor);
    } else {
      cursor = backwards ? list::previous(segment, root, cursor) : list::next(segment, cursor);
    }
  }
  if (removed > 0) finish_change(call, key, *found.entry, root.count);
  call.reply().integer(static_cast<int64_t>(removed));
}

void cmd_ltrim(Call& call) {
  int64_t from = 0, to = 0;
  if (!call.integer_arg(2, from) || !call.integer_arg(3, to)) return;
  const Key key = call.key(1);
  const Found<ListRoot> found = call.write<ListRoot>(key);
  if (found.wrong_type) return;
  if (found.entry != nullptr) {
    const uint64_t total = found.root->count;
    const IndexRange range = index_range(from, to, total);
    if (range.count == 0) {
      call.remove(key, *found.entry);
    } else {
      list::drop(call.tx(), *found.root, End::kHead, range.first);
      list::drop(call.tx(), *found.root, End::kTail, total - range.first - range.count);
      call.changed(key, *found.entry);
    }
  }
  call.reply().ok();
}

void cmd_lpos(Call& call) {
  FindArguments arguments;
  if (!find_arguments(call, arguments)) return;
  const Found<ListRoot> found = call.read<ListRoot>(call.key(1));
  if (found.wrong_type) return;
  const bool many = arguments.count >= 0, backwards = arguments.rank < 0;
  const int64_t most = arguments.count == 0 ? INT64_MAX : arguments.count;
  int64_t to_skip = (backwards ? -arguments.rank : arguments.rank) - 1, matches = 0, looked = 0, only = -1;
  const size_t mark = many ? call.reply().begin(Reply::Tag::kArray) : 0;
  if (found.root != nullptr) {
    const Segment& segment = call.segment();
    auto index = static_cast<int64_t>(backwards ? found.root->count - 1 : 0);
    Cursor cursor = backwards ? list::last(segment, *found.root) : list::first(segment, *found.root);
    while (!cursor.is_end() && (arguments.most == 0 || looked++ < arguments.most)) {
      if (list::element(segment, cursor).equals(segment, call.arg(2)) && --to_skip < 0) {
        ++matches;
        only = index;
        if (!many) break;
        call.reply().integer(index);
        if (matches == most) break;
      }
      index += backwards ? -1 : 1;
      cursor = backwards ? list::previous(segment, *found.root, cursor) : list::next(segment, cursor);
    }
  }
  if (many) return call.reply().end(mark, static_cast<uint32_t>(matches));
  if (only < 0) return call.reply().null();
  call.reply().integer(only);
}

}  // namespace shoal
