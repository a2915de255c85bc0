// SPDX-License-Identifier: MIT
// cmd_set.cc: commands of sets.
#include "commands/cmd_set.h"

#include "commands/family.h"
#include "transaction/size_class.h"
#include "types/set.h"

namespace shoal {

namespace {

using shm::SetRoot;

// ---- Unions, intersections and differences ----
//
// No memory of their own: a member is met in one of the sets and looked for in others.

enum class Operation { kUnion, kInter, kDiff };

// The sets at the arguments first..first + count - 1. There is no heap under the lock: more than a few lie in a
// scratch block
// of the transaction.
struct Sources {
  static constexpr size_t kInside = 32;
  uint64_t inside[kInside];
  uint64_t* roots = inside;  // offsets, 0 = missing key
  size_t count = 0;

  const SetRoot* at(Call& call, size_t i) const noexcept {
    return roots[i] == 0 ? nullptr : &call.tx().view<SetRoot>(roots[i]);
  }
  void release(Call& call) noexcept {
    if (roots != inside) call.tx().free(call.tx().offset_of(roots));
  }
};

bool read_sources(Call& call, size_t first, size_t count, Sources& sources) noexcept {
  if (count > kCombinedKeysMax) return call.error(kTooManyKeys), false;
  static_assert(kCombinedKeysMax * sizeof(uint64_t) <= kBlockMax);
  if (count > Sources::kInside) sources.roots = call.tx().create<uint64_t>(count * sizeof(uint64_t));
  if (sources.roots == nullptr) return false;
  sources.count = count;
  for (size_t i = 0; i < count; ++i) {
    const Found<SetRoot> found = call.read<SetRoot>(call.key(first + i));
    if (found.wrong_type) return false;
    sources.roots[i] = found.root == nullptr ? 0 : call.tx().offset_of(found.root);
  }
  return true;
}

bool in_any(Call& call, const Sources& sources, size_t from, size_t to, Bytes member) noexcept {
  for (size_t i = from; i < to; ++i) {
    const SetRoot* root = sources.at(call, i);
    if (root != nullptr && set::contains(call.segment(), *root, member)) return true;
  }
  return false;
}

template <typename Visit>
void visit_union(Call& call, const Sources& sources, Visit&& visit) noexcept {
  for (size_t i = 0; i < sources.count; ++i) {
    if (sources.roots[i] == 0) continue;
    set::for_each(call.segment(), *sources.at(call, i), [&](Bytes member) {
      if (!in_any(call, sources, 0, i, member)) visit(member);
    });
  }
}

template <typename Visit>
void visit_diff(Call& call, const Sources& sources, Visit&& visit) noexcept {
  if (sources.roots[0] == 0) return;
  set::for_each(call.segment(), *sources.at(call, 0), [&](Bytes member) {
    if (!in_any(call, sources, 1, sources.count, member)) visit(member);
  });
}

template <typename Visit>
void visit_inter(Call& call, const Sources& sources, Visit&& visit) noexcept {
  size_t smallest = 0;
  for (size_t i = 0; i < sources.count; ++i) {
    if (sources.roots[i] == 0) return;
    if (set::count(*sources.at(call, i)) < set::count(*sources.at(call, smallest))) smallest = i;
  }
  set::for_each(call.segment(), *sources.at(call, smallest), [&](Bytes member) {
    for (size_t i = 0; i < sources.count; ++i) {
      if (i != smallest && !set::contains(call.segment(), *sources.at(call, i), member)) return;
    }
    visit(member);
  });
}

template <typename Visit>
void visit_result(Call& call, Operation operation, const Sources& sources, Visit&& visit) noexcept {
  switch (operation) {
    case Operation::kUnion:
      return visit_union(call, sources, visit);
    case Operation::kInter:
      return visit_inter(call, sources, visit);
    case Operation::kDiff:
      return visit_diff(call, sources, visit);
  }
}

void combine(Call& call, Operation operation) noexcept {
  Sources sources;
  if (!read_sources(call, 1, call.argc() - 1, sources)) return;
  const size_t mark = call.reply().begin(Reply::Tag::kSet);
  uint32_t count = 0;
  visit_result(call, operation, sources, [&](Bytes member) {
    ++count;
    call.reply().bulk(member);
  });
  call.reply().end(mark, count);
  sources.release(call);
}

// The result is built under a root of its own, since the target may be one of the sources; then the root moves.
void combine_and_store(Call& call, Operation operation) noexcept {
  const Key target = call.key(1);
  Transaction& tx = call.tx();
  tx.set_home(target.shard);
  Sources sources;
  if (!read_sources(call, 2, call.argc() - 2, sources)) return;
  auto* root = tx.create<SetRoot>();
  if (root == nullptr) return;
  std::memset(static_cast<void*>(root), 0, sizeof *root);
  visit_result(call, operation, sources, [&](Bytes member) {
    if (!tx.failed()) set::add(tx, *root, member);
  });
  if (tx.failed()) return;
  if (const shm::Entry* old = call.write(target); old != nullptr) call.remove(target, *old);
  const uint64_t count = set::count(*root);
  if (count > 0) {
    const Found<SetRoot> stored = call.create<SetRoot>(target);
    if (stored.entry == nullptr) return;
    std::memcpy(keyspace::fresh_value(tx, *stored.entry), static_cast<const void*>(root), sizeof *root);
    call.changed(target, *stored.entry);
  }
  tx.free(tx.offset_of(root));
  sources.release(call);
  call.reply().integer(static_cast<int64_t>(count));
}

void pop_many(Call& call) noexcept {
  int64_t wanted = 0;
  if (!range_arg(call, 2, 0, INT64_MAX, wanted, kMustBePositive)) return;
  const Key key = call.key(1);
  const Found<SetRoot> found = call.write<SetRoot>(key);
  if (found.wrong_type) return;
  const uint64_t total = found.root == nullptr ? 0 : set::count(*found.root);
  const uint64_t count = std::min(static_cast<uint64_t>(wanted), total);
  call.reply().set(static_cast<uint32_t>(count));
  if (count == 0) return;
  if (count == total) {
    set::for_each(call.segment(), *found.root, [&](Bytes member) { call.reply().bulk(member); });
    return call.remove(key, *found.entry);
  }
  for (uint64_t i = 0; i < count && !call.tx().failed(); ++i) {
    const uint64_t item = Dict::random_item(call.segment(), found.root->members, call.random());
    call.reply().bulk(set::member_at(call.segment(), item));
    set::remove_at(call.tx(), *found.root, item);
  }
  call.changed(key, *found.entry);
}

}  // namespace

void cmd_sadd(Call& call) {
  for (size_t i = 2; i < call.argc(); ++i) {
    if (refuse_long(call, i)) return;
  }
  const Key key = call.key(1);
  Found<SetRoot> found = call.write<SetRoot>(key);
  if (found.wrong_type) return;
  if (found.entry == nullptr) found = call.create<SetRoot>(key);
  if (found.entry == nullptr) return;
  int64_t added = 0;
  for (size_t i = 2; i < call.argc(); ++i) {
    const auto result = set::add(call.tx(), *found.root, call.arg(i));
    if (result == set::Added::kNoMemory) return;
    added += result == set::Added::kYes;
  }
  if (added > 0) call.changed(key, *found.entry);
  call.reply().integer(added);
}

void cmd_srem(Call& call) {
  const Key key = call.key(1);
  const Found<SetRoot> found = call.write<SetRoot>(key);
  if (found.wrong_type) return;
  int64_t removed = 0;
  for (size_t i = 2; i < call.argc() && found.entry != nullptr; ++i) {
    removed += set::remove(call.tx(), *found.root, call.arg(i));
  }
  if (removed > 0) finish_change(call, key, *found.entry, set::count(*found.root));
  call.reply().integer(removed);
}

void cmd_smembers(Call& call) {
  const Found<SetRoot> found = call.read<SetRoot>(call.key(1));
  if (found.wrong_type) return;
  call.reply().set(static_cast<uint32_t>(found.root == nullptr ? 0 : set::count(*found.root)));
  if (found.root == nullptr) return;
  set::for_each(call.segment(), *found.root, [&](Bytes member) { call.reply().bulk(member); });
}

void cmd_sismember(Call& call) {
  const Found<SetRoot> found = call.read<SetRoot>(call.key(1));
  if (found.wrong_type) return;
  call.reply().integer(found.root != nullptr && set::contains(call.segment(), *found.root, call.arg(2)));
}

void cmd_smismember(Call& call) {
  const Found<SetRoot> found = call.read<SetRoot>(call.key(1));
  if (found.wrong_type) return;
  call.reply().array(static_cast<uint32_t>(call.argc() - 2));
  for (size_t i = 2; i < call.argc(); ++i) {
    call.reply().integer(found.root != nullptr && set::contains(call.segment(), *found.root, call.arg(i)));
  }
}

void cmd_scard(Call& call) {
  const Found<SetRoot> found = call.read<SetRoot>(call.key(1));
  if (!found.wrong_type)
    call.reply().integer(found.root == nullptr ? 0 : static_cast<int64_t>(set::count(*found.root)));
}

void cmd_smove(Call& call) {
  const Key from = call.key(1), to = call.key(2);
  const shm::Entry* source_entry = call.write(from);
  if (source_entry == nullptr) return call.reply().integer(0);
  const Found<SetRoot> source = call.write<SetRoot>(from);
  Found<SetRoot> target = source.wrong_type ? Found<SetRoot>{} : call.write<SetRoot>(to);
  if (source.wrong_type || target.wrong_type || refuse_long(call, 3)) return;
  const Bytes member = call.arg(3);
  if (from.name == to.name) return call.reply().integer(set::contains(call.segment(), *source.root, member));
  if (!set::remove(call.tx(), *source.root, member)) return call.reply().integer(0);
  finish_change(call, from, *source.entry, set::count(*source.root));
  call.tx().set_home(to.shard);
  if (target.entry == nullptr) target = call.create<SetRoot>(to);
  if (target.entry == nullptr) return;
  if (set::add(call.tx(), *target.root, member) == set::Added::kYes) call.changed(to, *target.entry);
  call.reply().integer(1);
}

void cmd_spop(Call& call) {
  if (call.argc() > 3) return call.error(kSyntaxError);
  if (call.argc() == 3) return pop_many(call);
  const Key key = call.key(1);
  const Found<SetRoot> found = call.write<SetRoot>(key);
  if (found.wrong_type) return;
  if (found.root == nullptr) return call.reply().null();
  const uint64_t item = Dict::random_item(call.segment(), found.root->members, call.random());
  call.reply().bulk(set::member_at(call.segment(), item));
  set::remove_at(call.tx(), *found.root, item);
  finish_change(call, key, *found.entry, set::count(*found.root));
}

void cmd_srandmember(Call& call) {
  RandomArguments arguments;
  if (!random_arguments(call, nullptr, arguments)) return;
  const Found<SetRoot> found = call.read<SetRoot>(call.key(1));
  if (found.wrong_type) return;
  if (found.root == nullptr) return arguments.many ? call.reply().array(0) : call.reply().null();
  const auto emit = [&](uint64_t item) { call.reply().bulk(set::member_at(call.segment(), item)); };
  if (arguments.many) return reply_random(call, found.root->members, arguments, false, emit);
  emit(Dict::random_item(call.segment(), found.root->members, call.random()));
}

void cmd_sinter(Call& call) { combine(call, Operation::kInter); }
void cmd_sunion(Call& call) { combine(call, Operation::kUnion); }
void cmd_sdiff(Call& call) { combine(call, Operation::kDiff); }
void cmd_sinterstore(Call& call) { combine_and_store(call, Operation::kInter); }
void cmd_sunionstore(Call& call) { combine_and_store(call, Operation::kUnion); }
void cmd_sdiffstore(Call& call) { combine_and_store(call, Operation::kDiff); }

void cmd_sintercard(Call& call) {
  int64_t keys = 0, limit = 0;
  if (!range_arg(call, 1, 1, INT64_MAX, keys, "ERR numkeys should be greater than 0")) return;
  if (keys > static_cast<int64_t>(call.argc() - 2)) {
    return call.error("ERR Number of keys can't be greater than number of args");
  }
  const size_t options = 2 + static_cast<size_t>(keys);
  for (size_t i = options; i < call.argc(); i += 2) {
    if (!call.arg_is(i, "LIMIT") || i + 1 == call.argc()) return call.error(kSyntaxError);
    if (!range_arg(call, i + 1, 0, INT64_MAX, limit, "ERR LIMIT can't be negative")) return;
  }
  Sources sources;
  if (!read_sources(call, 2, static_cast<size_t>(keys), sources)) return;
  int64_t count = 0;
  visit_inter(call, sources, [&](Bytes) { ++count; });
  sources.release(call);
  call.reply().integer(limit > 0 ? std::min(count, limit) : count);
}

void cmd_sscan(Call& call) {
  ScanArguments scan;
  if (!scan_cursor(call, scan)) return;
  const Found<SetRoot> found = call.read<SetRoot>(call.key(1));
  if (found.wrong_type) return;
  if (found.root == nullptr) return reply_empty_scan(call);
  if (!scan_options(call, scan)) return;
  reply_scan(call, scan, found.root->members, [&](uint64_t item) -> uint32_t {
    const Bytes member = set::member_at(call.segment(), item);
    if (!scan.matches(member)) return 0;
    call.reply().bulk(member);
    return 1;
  });
}

}  // namespace shoal
