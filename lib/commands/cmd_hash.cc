// SPDX-License-Identifier: MIT
// cmd_hash.cc: commands of hashes.
#include "commands/cmd_hash.h"

#include <cmath>

#include "commands/family.h"
#include "types/hash.h"

namespace shoal {

namespace {

using shm::HashRoot;

Found<HashRoot> find_or_create(Call& call, const Key& key) noexcept {
  Found<HashRoot> found = call.write<HashRoot>(key);
  if (found.entry == nullptr && !found.wrong_type) found = call.create<HashRoot>(key);
  return found;
}

// Stores the pairs from argument 2 on. False: answered, or out of memory.
bool store_pairs(Call& call, const char* arity_error, int64_t& added) noexcept {
  if (call.argc() % 2 == 1) return call.error(arity_error), false;
  for (size_t i = 2; i < call.argc(); i += 2) {
    if (refuse_long(call, i)) return false;
  }
  const Key key = call.key(1);
  const Found<HashRoot> found = find_or_create(call, key);
  if (found.entry == nullptr) return false;
  for (size_t i = 2; i < call.argc(); i += 2) {
    const auto stored = hash::store(call.tx(), *found.root, call.arg(i), call.arg(i + 1));
    if (stored == hash::Stored::kNoMemory) return false;
    added += stored == hash::Stored::kNew;
  }
  call.changed(key, *found.entry);
  return true;
}

// A short value as text; a blob is none.
Bytes short_value(const Segment& segment, uint64_t field) noexcept {
  return field == 0 ? Bytes{} : hash::value_at(segment, field).inside;
}

void reply_value(Call& call, const Found<HashRoot>& found, Bytes field) noexcept {
  const uint64_t item = found.root == nullptr ? 0 : hash::find(call.segment(), *found.root, field);
  if (item == 0) return call.reply().null();
  reply_bulk(call, hash::value_at(call.segment(), item));
}

void reply_all(Call& call, bool fields, bool values) noexcept {
  const Found<HashRoot> found = call.read<HashRoot>(call.key(1));
  if (found.wrong_type) return;
  const auto count = static_cast<uint32_t>(found.root == nullptr ? 0 : hash::count(*found.root));
  if (fields && values) {
    call.reply().map(count);
  } else {
    call.reply().array(count);
  }
  if (found.root == nullptr) return;
  hash::for_each(call.segment(), *found.root, [&](Bytes field, const StoredBytes& value) {
    if (fields) call.reply().bulk(field);
    if (values) reply_bulk(call, value);
  });
}

void store_number(Call& call, const Key& key, Found<HashRoot> found, Bytes number) noexcept {
  if (found.entry == nullptr) found = call.create<HashRoot>(key);
  if (found.entry == nullptr) return;
  if (hash::store(call.tx(), *found.root, call.arg(2), number) == hash::Stored::kNoMemory) return;
  call.changed(key, *found.entry);
}

}  // namespace

void cmd_hset(Call& call) {
  int64_t added = 0;
  if (store_pairs(call, "ERR wrong number of arguments for 'hset' command", added)) call.reply().integer(added);
}

void cmd_hmset(Call& call) {
  int64_t added = 0;
  if (store_pairs(call, "ERR wrong number of arguments for 'hmset' command", added)) call.reply().ok();
}

void cmd_hsetnx(Call& call) {
  if (refuse_long(call, 2)) return;
  const Key key = call.key(1);
  Found<HashRoot> found = call.write<HashRoot>(key);
  if (found.wrong_type) return;
  if (found.entry != nullptr && hash::find(call.segment(), *found.root, call.arg(2)) != 0)
    return call.reply().integer(0);
  store_number(call, key, found, call.arg(3));
  call.reply().integer(1);
}

void cmd_hget(Call& call) {
  const Found<HashRoot> found = call.read<HashRoot>(call.key(1));
  if (!found.wrong_type) reply_value(call, found, call.arg(2));
}

void cmd_hmget(Call& call) {
  const Found<HashRoot> found = call.read<HashRoot>(call.key(1));
  if (found.wrong_type) return;
  call.reply().array(static_cast<uint32_t>(call.argc() - 2));
  for (size_t i = 2; i < call.argc(); ++i) reply_value(call, found, call.arg(i));
}

void cmd_hgetall(Call& call) { reply_all(call, true, true); }
void cmd_hkeys(Call& call) { reply_all(call, true, false); }
void cmd_hvals(Call& call) { reply_all(call, false, true); }

void cmd_hdel(Call& call) {
  const Key key = call.key(1);
  const Found<HashRoot> found = call.write<HashRoot>(key);
  if (found.wrong_type) return;
  int64_t removed = 0;
  for (size_t i = 2; i < call.argc() && found.entry != nullptr; ++i) {
    removed += hash::remove(call.tx(), *found.root, call.arg(i));
  }
  if (removed > 0) finish_change(call, key, *found.entry, hash::count(*found.root));
  call.reply().integer(removed);
}

void cmd_hexists(Call& call) {
  const Found<HashRoot> found = call.read<HashRoot>(call.key(1));
  if (found.wrong_type) return;
  call.reply().integer(found.root != nullptr && hash::find(call.segment(), *found.root, call.arg(2)) != 0);
}

void cmd_hlen(Call& call) {
  const Found<HashRoot> found = call.read<HashRoot>(call.key(1));
  if (!found.wrong_type)
    call.reply().integer(found.root == nullptr ? 0 : static_cast<int64_t>(hash::count(*found.root)));
}

void cmd_hstrlen(Call& call) {
  const Found<HashRoot> found = call.read<HashRoot>(call.key(1));
  if (found.wrong_type) return;
  const uint64_t item = found.root == nullptr ? 0 : hash::find(call.segment(), *found.root, call.arg(2));
  call.reply().integer(item == 0 ? 0 : static_cast<int64_t>(hash::value_at(call.segment(), item).size()));
}

void cmd_hincrby(Call& call) {
  int64_t by = 0, value = 0;
  if (!call.integer_arg(3, by) || refuse_long(call, 2)) return;
  const Key key = call.key(1);
  const Found<HashRoot> found = call.write<HashRoot>(key);
  if (found.wrong_type) return;
  const uint64_t item = found.root == nullptr ? 0 : hash::find(call.segment(), *found.root, call.arg(2));
  if (item != 0 && !parse_integer(short_value(call.segment(), item), value)) {
    return call.error("ERR hash value is not an integer");
  }
  if (__builtin_add_overflow(value, by, &value)) return call.error("ERR increment or decrement would overflow");
  store_number(call, key, found, format_integer(value));
  call.reply().integer(value);
}

void cmd_hincrbyfloat(Call& call) {
  long double by = 0, value = 0;
  if (!parse_long_double(call.arg(3), by)) return call.error(kNotAFloat);
  if (std::isnan(by) || std::isinf(by)) return call.error("ERR value is NaN or Infinity");
  if (refuse_long(call, 2)) return;
  const Key key = call.key(1);
  const Found<HashRoot> found = call.write<HashRoot>(key);
  if (found.wrong_type) return;
  const uint64_t item = found.root == nullptr ? 0 : hash::find(call.segment(), *found.root, call.arg(2));
  if (item != 0 && !parse_long_double(short_value(call.segment(), item), value)) {
    return call.error("ERR hash value is not a float");
  }
  value += by;
  if (std::isnan(value) || std::isinf(value)) return call.error("ERR increment would produce NaN or Infinity");
  const LongFloatText text = format_long_double(value);
  store_number(call, key, found, text);
  call.reply().bulk(text);
}

void cmd_hscan(Call& call) {
  ScanArguments scan;
  if (!scan_cursor(call, scan)) return;
  const Found<HashRoot> found = call.read<HashRoot>(call.key(1));
  if (found.wrong_type) return;
  if (found.root == nullptr) return reply_empty_scan(call);
  if (!scan_options(call, scan)) return;
  reply_scan(call, scan, found.root->fields, [&](uint64_t item) -> uint32_t {
    const Bytes field = hash::field_at(call.segment(), item);
    if (!scan.matches(field)) return 0;
    call.reply().bulk(field);
    reply_bulk(call, hash::value_at(call.segment(), item));
    return 2;
  });
}

void cmd_hrandfield(Call& call) {
  RandomArguments arguments;
  if (!random_arguments(call, "WITHVALUES", arguments)) return;
  const Found<HashRoot> found = call.read<HashRoot>(call.key(1));
  if (found.wrong_type) return;
  if (found.root == nullptr) return arguments.many ? call.reply().array(0) : call.reply().null();
  const auto emit = [&](uint64_t item) {
    call.reply().bulk(hash::field_at(call.segment(), item));
    if (arguments.with_values) reply_bulk(call, hash::value_at(call.segment(), item));
  };
  if (arguments.many) return reply_random(call, found.root->fields, arguments, arguments.with_values, emit);
  emit(Dict::random_item(call.segment(), found.root->fields, call.random()));
}

}  // namespace shoal
