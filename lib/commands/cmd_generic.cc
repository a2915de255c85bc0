// SPDX-License-Identifier: MIT
// cmd_generic.cc: commands for keys of any type.
#include "commands/cmd_generic.h"

#include <string>

#include "commands/command.h"
#include "commands/expiry_args.h"
#include "commands/lower_case.h"
#include "commands/session.h"

namespace shoal {

namespace {

using shm::Entry;

constexpr const char* kSameObject = "ERR source and destination objects are the same";

struct ExpireFlags {
  bool nx = false, xx = false, gt = false, lt = false;
};

bool parse_expire_flags(Call& call, ExpireFlags& flags) noexcept {
  for (size_t i = 3; i < call.argc(); ++i) {
    if (call.arg_is(i, "NX")) {
      flags.nx = true;
    } else if (call.arg_is(i, "XX")) {
      flags.xx = true;
    } else if (call.arg_is(i, "GT")) {
      flags.gt = true;
    } else if (call.arg_is(i, "LT")) {
      flags.lt = true;
    } else {
      call.error("ERR Unsupported option " + std::string(call.arg(i).substr(0, call.arg(i).find('\0'))));
      return false;
    }
  }
  if (flags.nx && (flags.xx || flags.gt || flags.lt)) {
    call.error("ERR NX and XX, GT or LT options at the same time are not compatible");
    return false;
  }
  if (flags.gt && flags.lt) {
    call.error("ERR GT and LT options at the same time are not compatible");
    return false;
  }
  return true;
}

void expire(Call& call, bool seconds, bool absolute) noexcept {
  ExpireFlags flags;
  int64_t expires_ms = 0;
  if (!parse_expire_flags(call, flags) || !expiry_arg(call, 2, seconds, absolute, expires_ms)) return;
  const Key key = call.key(1);
  const Entry* entry = call.write(key);
  if (entry == nullptr) return call.reply().integer(0);
  const int64_t current = entry->expires_ms();
  const bool refused = (flags.nx && current != 0) || (flags.xx && current == 0) ||
                       (flags.gt && (current == 0 || expires_ms <= current)) ||
                       (flags.lt && current != 0 && expires_ms >= current);
  if (refused) return call.reply().integer(0);
  if (expires_ms <= call.now_ms()) {
    call.remove(key, *entry);
  } else {
    entry = keyspace::set_expiry(call.tx(), key, *entry, expires_ms);
    if (entry == nullptr) return;
    call.changed(key, *entry);
  }
  call.reply().integer(1);
}

// What TTL and EXPIRETIME answer: `unit` ms, from now or absolute.
void reply_expiry(Call& call, int64_t unit, bool absolute) noexcept {
  const Entry* entry = call.read(call.key(1));
  if (entry == nullptr) return call.reply().integer(-2);
  const int64_t expires_ms = entry->expires_ms();
  if (expires_ms == 0) return call.reply().integer(-1);
  const int64_t left = absolute ? expires_ms : expires_ms - call.now_ms();
  call.reply().integer(left / unit + (left % unit >= 500 ? 1 : 0));
}

void rename(Call& call, bool only_new) noexcept {
  const Key from = call.key(1), to = call.key(2);
  const Entry* entry = call.write(from);
  if (entry == nullptr) return call.error(kNoSuchKey);
  const bool same = from.name == to.name;
  const Entry* target = same ? entry : call.write(to);
  if (only_new && target != nullptr) return call.reply().integer(0);
  if (!same) {
    if (target != nullptr) call.remove(to, *target);
    keyspace::rename(call.tx(), from, *entry, to);
    call.ready(to);
  }
  if (only_new) return call.reply().integer(1);
  call.reply().ok();
}

// Whether every key of this shard's dict is in the database asked for needs a look at each.
template <typename Visit>
void for_each_live(Call& call, uint32_t shard, Visit&& visit) noexcept {
  Dict::for_each(call.segment(), call.segment().shard(shard).keys, [&](uint64_t item) {
    const auto& entry = *call.segment().pointer<Entry>(item);
    if (entry.info().database == call.database() && !keyspace::expired(entry, call.now_ms())) visit(entry);
  });
}

constexpr uint32_t kCursorDigitsMax = 20;

struct ScanOptions {
  Bytes pattern = "*";
  int64_t count = 10;
  std::string type;  // in small letters
};

bool parse_scan_options(Call& call, ScanOptions& options) noexcept {
  for (size_t i = 2; i < call.argc(); i += 2) {
    if (i + 1 >= call.argc()) return call.error(kSyntaxError), false;
    if (call.arg_is(i, "MATCH")) {
      options.pattern = call.arg(i + 1);
    } else if (call.arg_is(i, "COUNT")) {
      if (!call.integer_arg(i + 1, options.count)) return false;
      if (options.count < 1) return call.error(kSyntaxError), false;
    } else if (call.arg_is(i, "TYPE")) {
      options.type = lower_case(call.arg(i + 1).substr(0, 15));  // no type has so long a name
    } else {
      return call.error(kSyntaxError), false;
    }
  }
  return true;
}

bool parse_cursor(Bytes text, uint64_t& cursor) noexcept {
  cursor = 0;
  if (text.empty() || text.size() > 20) return false;
  for (char c : text) {
    if (c < '0' || c > '9') return false;
    cursor = cursor * 10 + static_cast<uint64_t>(c - '0');
  }
  return true;
}

}  // namespace

void cmd_del(Call& call) {
  int64_t removed = 0;
  for (size_t i = 1; i < call.argc() && !call.tx().failed(); ++i) {
    const Key key = call.key(i);
    const Entry* entry = call.write(key);
    if (entry == nullptr) continue;
    call.remove(key, *entry);
    ++removed;
  }
  call.reply().integer(removed);
}

void cmd_exists(Call& call) {
  int64_t found = 0;
  for (size_t i = 1; i < call.argc(); ++i) found += call.read(call.key(i)) != nullptr;
  call.reply().integer(found);
}

void cmd_type(Call& call) {
  const Entry* entry = call.read(call.key(1));
  call.reply().simple(entry == nullptr ? "none" : type_row(entry->type())->name);
}

void cmd_expire(Call& call) { expire(call, true, false); }
void cmd_pexpire(Call& call) { expire(call, false, false); }
void cmd_expireat(Call& call) { expire(call, true, true); }
void cmd_pexpireat(Call& call) { expire(call, false, true); }
void cmd_ttl(Call& call) { reply_expiry(call, 1000, false); }
void cmd_pttl(Call& call) { reply_expiry(call, 1, false); }
void cmd_expiretime(Call& call) { reply_expiry(call, 1000, true); }
void cmd_pexpiretime(Call& call) { reply_expiry(call, 1, true); }

void cmd_persist(Call& call) {
  const Key key = call.key(1);
  const Entry* entry = call.write(key);
  if (entry == nullptr || entry->expires_ms() == 0) return call.reply().integer(0);
  keyspace::set_expiry(call.tx(), key, *entry, 0);
  call.changed(key, *entry);
  call.reply().integer(1);
}

void cmd_rename(Call& call) { rename(call, false); }
void cmd_renamenx(Call& call) { rename(call, true); }

uint64_t move_shards(const Segment& segment, std::span<const Bytes> arguments, uint32_t database) noexcept {
  uint64_t mask = uint64_t{1} << keyspace::make_key(segment, database, arguments[1]).shard;
  uint32_t target;
  if (parse_database(arguments[2], target) == nullptr) {
    mask |= uint64_t{1} << keyspace::make_key(segment, target, arguments[1]).shard;
  }
  return mask;
}

void cmd_move(Call& call) {
  uint32_t database;
  if (const char* error = parse_database(call.arg(2), database); error != nullptr) return call.error(error);
  if (database == call.database()) return call.error(kSameObject);
  const Key from = call.key(1), to = keyspace::make_key(call.segment(), database, call.arg(1));
  const Entry* entry = call.write(from);
  if (entry == nullptr || call.write(to) != nullptr) return call.reply().integer(0);
  keyspace::rename(call.tx(), from, *entry, to);
  call.ready(to);
  call.reply().integer(1);
}

namespace {

struct CopyOptions {
  uint32_t database;
  bool replace = false;
};

// nullptr, or the error.
const char* parse_copy_options(std::span<const Bytes> arguments, CopyOptions& options) noexcept {
  for (size_t i = 3; i < arguments.size(); ++i) {
    if (is_word(arguments[i], "REPLACE")) {
      options.replace = true;
    } else if (is_word(arguments[i], "DB") && i + 1 < arguments.size()) {
      if (const char* error = parse_database(arguments[++i], options.database); error != nullptr) return error;
    } else {
      return kSyntaxError;
    }
  }
  return nullptr;
}

}  // namespace

uint64_t copy_shards(const Segment& segment, std::span<const Bytes> arguments, uint32_t database) noexcept {
  if (arguments[1].size() > kNameBytesMax || arguments[2].size() > kNameBytesMax) return 0;
  CopyOptions options{database};
  if (parse_copy_options(arguments, options) != nullptr) return 1;  // any shard: the handler will say what is wrong
  return uint64_t{1} << keyspace::make_key(segment, database, arguments[1]).shard |
         uint64_t{1} << keyspace::make_key(segment, options.database, arguments[2]).shard;
}

void cmd_copy(Call& call) {
  CopyOptions options{call.database()};
  if (const char* error = parse_copy_options(call.arguments(), options); error != nullptr) return call.error(error);
  const Key from = call.key(1);
  const Key to = keyspace::make_key(call.segment(), options.database, call.arg(2));
  if (from.database == to.database && from.name == to.name) return call.error(kSameObject);
  const Entry* entry = call.read(from);
  if (entry == nullptr) return call.reply().integer(0);
  const Entry* existing = call.write(to);
  if (existing != nullptr && !options.replace) return call.reply().integer(0);
  if (existing != nullptr) call.remove(to, *existing);
  if (keyspace::copy(call.tx(), *entry, to) == nullptr) return;
  call.ready(to);
  call.reply().integer(1);
}

void cmd_keys(Call& call) {
  const size_t mark = call.reply().begin(Reply::Tag::kArray);
  uint32_t count = 0;
  for (uint32_t shard = 0; shard < call.segment().shard_count(); ++shard) {
    for_each_live(call, shard, [&](const Entry& entry) {
      if (!glob_match(call.arg(1), entry.key())) return;
      call.reply().bulk(entry.key());
      ++count;
    });
  }
  call.reply().end(mark, count);
}

// A cursor is shard:32 | position in the shard's dict:32; 0 begins and ends.
uint64_t scan_shards(const Segment& segment, std::span<const Bytes> arguments, uint32_t) noexcept {
  uint64_t cursor = 0;
  return parse_cursor(arguments[1], cursor) && cursor >> 32 < segment.shard_count() ? uint64_t{1} << (cursor >> 32) : 1;
}

void cmd_scan(Call& call) {
  uint64_t cursor = 0;
  if (!parse_cursor(call.arg(1), cursor)) return call.error("ERR invalid cursor");
  ScanOptions options;
  if (!parse_scan_options(call, options)) return;
  auto shard = static_cast<uint32_t>(cursor >> 32);
  auto position = static_cast<uint32_t>(cursor);
  call.reply().array(2);
  // The cursor comes first but is known last: room for the longest.
  const size_t cursor_mark = call.reply().used();
  call.reply().reserve_bulk(kCursorDigitsMax);
  const size_t mark = call.reply().begin(Reply::Tag::kArray);
  uint32_t count = 0;
  if (shard < call.segment().shard_count()) {
    int64_t looked_at = 0;
    do {
      position = Dict::scan(call.segment(), call.segment().shard(shard).keys, position, [&](uint64_t item) {
        const auto& entry = *call.segment().pointer<Entry>(item);
        ++looked_at;
        if (entry.info().database != call.database() || keyspace::expired(entry, call.now_ms())) return;
        if (options.pattern != "*" && !glob_match(options.pattern, entry.key())) return;
        if (!options.type.empty() && options.type != type_row(entry.type())->name) return;
        call.reply().bulk(entry.key());
        ++count;
      });
    } while (position != 0 && looked_at < options.count);
    if (position == 0 && ++shard == call.segment().shard_count()) shard = 0;
  }
  call.reply().end(mark, count);
  call.reply().fit_bulk(cursor_mark, kCursorDigitsMax,
                        format_integer(static_cast<int64_t>(uint64_t{shard} << 32 | position)));
}

namespace {
// A living key of the database, by chance; where most are expired or of other databases, the next one from a place by
// chance on. nullptr: there is none.
const Entry* random_key(Call& call, const shm::Shard& shard) noexcept {
  const Segment& segment = call.segment();
  if (shard.database_keys[call.database()] == 0) return nullptr;
  const Entry* found = nullptr;
  const auto look = [&](uint64_t item) {
    const auto& entry = *segment.pointer<Entry>(item);
    if (entry.info().database == call.database() && !keyspace::expired(entry, call.now_ms())) found = &entry;
  };
  for (int tries = 0; tries < 64 && found == nullptr; ++tries)
    look(Dict::random_item(segment, shard.keys, call.random()));
  const auto start = static_cast<uint32_t>(call.random());
  const auto look_from = [&](uint32_t cursor, uint32_t end) {
    while (found == nullptr) {
      cursor = Dict::scan(segment, shard.keys, cursor, look);
      if (cursor == 0 || cursor >= end) return;
    }
  };
  look_from(start, UINT32_MAX);
  look_from(0, start);
  return found;
}
}  // namespace

void cmd_randomkey(Call& call) {
  const uint32_t shards = call.segment().shard_count();
  const auto first = static_cast<uint32_t>(call.random() % shards);
  for (uint32_t step = 0; step < shards; ++step) {
    const Entry* entry = random_key(call, call.segment().shard((first + step) % shards));
    if (entry != nullptr) return call.reply().bulk(entry->key());
  }
  call.reply().null();
}

void cmd_dbsize(Call& call) {
  uint64_t keys = 0;
  for (uint32_t shard = 0; shard < call.segment().shard_count(); ++shard) {
    keys += call.segment().shard(shard).database_keys[call.database()];
  }
  call.reply().integer(static_cast<int64_t>(keys));
}

namespace {
bool flush_mode_ok(Call& call) noexcept {
  if (call.argc() == 1) return true;
  if (call.argc() == 2 && (call.arg_is(1, "ASYNC") || call.arg_is(1, "SYNC"))) return true;
  call.error(kSyntaxError);
  return false;
}
}  // namespace

void cmd_flushdb(Call& call) {
  if (!flush_mode_ok(call)) return;
  for (uint32_t shard = 0; shard < call.segment().shard_count(); ++shard) {
    keyspace::remove_database(call.tx(), shard, call.database());
  }
  call.reply().ok();
}

void cmd_flushall(Call& call) {
  if (!flush_mode_ok(call)) return;
  for (uint32_t shard = 0; shard < call.segment().shard_count(); ++shard) keyspace::remove_all(call.tx(), shard);
  call.reply().ok();
}

// All blocks of key and value, as they are rounded up.
void cmd_memory_usage(Call& call) {
  int64_t samples = 0;  // all are looked at, however many are asked for
  for (size_t i = 3; i < call.argc(); i += 2) {
    if (!call.arg_is(i, "SAMPLES") || i + 1 >= call.argc()) return call.error(kSyntaxError);
    if (!call.integer_arg(i + 1, samples)) return;
    if (samples < 0) return call.error(kSyntaxError);
  }
  const Entry* entry = call.read(call.key(2));
  if (entry == nullptr) return call.reply().null();
  struct Sum {
    Transaction* tx;
    uint64_t bytes;
  } sum{&call.tx(), call.tx().capacity(call.tx().offset_of(entry))};
  const VisitBlock add = [](void* context, uint64_t block) noexcept {
    auto& total = *static_cast<Sum*>(context);
    total.bytes += total.tx->capacity(block);
    return true;
  };
  type_row(entry->type())->check(call.segment(), *entry, add, &sum);
  call.reply().integer(static_cast<int64_t>(sum.bytes));
}

void cmd_object_encoding(Call& call) {
  const Entry* entry = call.read(call.key(2));
  if (entry == nullptr) return call.reply().null();
  call.reply().bulk(type_row(entry->type())->encoding(call.segment(), *entry));
}

// A clock or a count of uses would cost each GET a write. Who asks must not take a 0 for an answer.
void cmd_object_idletime(Call& call) {
  if (call.read(call.key(2)) == nullptr) return call.reply().null();
  call.error("ERR idle time not tracked: there is no clock of last use");
}

void cmd_object_freq(Call& call) {
  if (call.read(call.key(2)) == nullptr) return call.reply().null();
  call.error(
      "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching "
      "between policies at runtime LRU and LFU data will take some time to adjust.");
}

// Nothing is shared between keys.
void cmd_object_refcount(Call& call) {
  if (call.read(call.key(2)) == nullptr) return call.reply().null();
  call.reply().integer(1);
}

}  // namespace shoal
