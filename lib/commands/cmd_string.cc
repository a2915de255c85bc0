// SPDX-License-Identifier: MIT
// cmd_string.cc: GET, SET and their family.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "commands/cmd_string.h"
#include "commands/command.h"
#include "commands/expiry_args.h"
#include "commands/session.h"
#include "commands/string_family.h"
#include "keyspace/read_blob.h"
#include "keyspace/read_string.h"

namespace shoal {

namespace {

using keyspace::kKeepExpiry;
using shm::Entry;

void reply_range(Call& call, const Entry& entry, uint64_t from, uint64_t bytes) noexcept {
  call.reply().begin_bulk(bytes);
  string::for_each_piece(call.segment(), entry, from, bytes, [&](Bytes piece) { call.reply().append(piece); });
}

void reply_value(Call& call, const Entry* entry) noexcept {
  if (entry == nullptr) {
    call.reply().null();
  } else {
    reply_range(call, *entry, 0, string::length(*entry));
  }
}

// The text of a short value, for numbers; longer ones are none.
Bytes short_text(const Entry& entry) noexcept {
  if (entry.info().encoding != Encoding::kInline) return {};
  return {reinterpret_cast<const char*>(entry.value()), entry.info().value_bytes};
}

struct SetOptions {
  bool only_new = false, only_existing = false, get = false, keep_ttl = false;
  int64_t expires_ms = 0;
};

// Syntax first, then the time, as in Redis.
bool parse_set_options(Call& call, SetOptions& options) noexcept {
  bool seconds = false, absolute = false;
  size_t time = 0;  // the argument that tells it
  for (size_t i = 3; i < call.argc(); ++i) {
    if (call.arg_is(i, "NX") && !options.only_existing) {
      options.only_new = true;
    } else if (call.arg_is(i, "XX") && !options.only_new) {
      options.only_existing = true;
    } else if (call.arg_is(i, "GET")) {
      options.get = true;
    } else if (call.arg_is(i, "KEEPTTL") && time == 0) {
      options.keep_ttl = true;
    } else if (is_expiry_option(call, i, seconds, absolute) && !options.keep_ttl && time == 0 && i + 1 < call.argc()) {
      time = ++i;
    } else {
      call.error(kSyntaxError);
      return false;
    }
  }
  return time == 0 || expiry_arg(call, time, seconds, absolute, options.expires_ms);
}

void set_with_expiry(Call& call, bool seconds) noexcept {
  int64_t expires_ms = 0;
  if (!expiry_arg(call, 2, seconds, false, expires_ms)) return;
  const Key key = call.key(1);
  store_string(call, key, call.write(key), call.arg(3), expires_ms);
  call.reply().ok();
}

void increment(Call& call, int64_t by) noexcept {
  const Key key = call.key(1);
  bool wrong;
  const Entry* entry = as_string(call, call.write(key), wrong);
  if (wrong) return;
  int64_t value = 0;
  if (entry != nullptr && !parse_integer(short_text(*entry), value)) return call.error(kNotAnInteger);
  if (__builtin_add_overflow(value, by, &value)) return call.error("ERR increment or decrement would overflow");
  store_string(call, key, entry, format_integer(value), kKeepExpiry);
  call.reply().integer(value);
}

void set_many(Call& call, bool only_new) noexcept {
  if (call.argc() % 2 == 0)
    return call.error(only_new ? "ERR wrong number of arguments for 'msetnx' command"
                               : "ERR wrong number of arguments for 'mset' command");
  if (only_new) {
    for (size_t i = 1; i < call.argc(); i += 2) {
      if (call.read(call.key(i)) != nullptr) return call.reply().integer(0);
    }
  }
  for (size_t i = 1; i < call.argc() && !call.tx().failed(); i += 2) {
    const Key key = call.key(i);
    store_string(call, key, call.write(key), call.arg(i + 1), 0);
  }
  if (only_new) return call.reply().integer(1);
  call.reply().ok();
}

}  // namespace

bool get_optimistic(Call& call) {
  using keyspace::ReadString;
  if (call.arg(1).size() > kShortKeyBytesMax) return false;
  const size_t mark = call.reply().used();
  const auto reserve = [&](uint32_t bytes) {
    call.reply().clear_overflow();
    call.reply().rewind(mark);
    return call.reply().reserve_bulk(bytes);
  };
  auto read = keyspace::read_string(call.segment(), call.session().database(), call.arg(1), reserve);
  if (__builtin_expect(read == ReadString::kUseLock, 0)) {
    read = keyspace::read_blob(call.segment(), call.key(1), reserve);
  }
  if (read == ReadString::kMissing) {
    call.reply().clear_overflow();
    call.reply().rewind(mark);
    call.reply().null();
  }
  return read != ReadString::kUseLock;
}

void cmd_get(Call& call) {
  bool wrong;
  const Entry* entry = as_string(call, call.read(call.key(1)), wrong);
  if (!wrong) reply_value(call, entry);
}

void cmd_set(Call& call) {
  SetOptions options;
  if (call.argc() > 3 && !parse_set_options(call, options)) return;
  const Key key = call.key(1);
  if (call.argc() == 3 && keyspace::overwrite_plain(call.tx(), key, call.arg(2))) return call.reply().ok();
  const Entry* existing = call.write(key);
  if (options.get) {
    bool wrong;
    const Entry* old = as_string(call, existing, wrong);
    if (wrong) return;
    reply_value(call, old);
  }
  if ((options.only_new && existing != nullptr) || (options.only_existing && existing == nullptr)) {
    if (!options.get) call.reply().null();
    return;
  }
  store_string(call, key, existing, call.arg(2), options.keep_ttl ? kKeepExpiry : options.expires_ms);
  if (!options.get) call.reply().ok();
}

void cmd_setnx(Call& call) {
  const Key key = call.key(1);
  const Entry* existing = call.write(key);
  if (existing == nullptr) store_string(call, key, nullptr, call.arg(2), 0);
  call.reply().integer(existing == nullptr ? 1 : 0);
}

void cmd_setex(Call& call) { set_with_expiry(call, true); }
void cmd_psetex(Call& call) { set_with_expiry(call, false); }

void cmd_getset(Call& call) {
  const Key key = call.key(1);
  bool wrong;
  const Entry* entry = as_string(call, call.write(key), wrong);
  if (wrong) return;
  reply_value(call, entry);
  store_string(call, key, entry, call.arg(2), 0);
}

void cmd_getdel(Call& call) {
  const Key key = call.key(1);
  bool wrong;
  const Entry* entry = as_string(call, call.write(key), wrong);
  if (wrong) return;
  reply_value(call, entry);
  if (entry != nullptr) call.remove(key, *entry);
}

void cmd_getex(Call& call) {
  const Key key = call.key(1);
  bool wrong, seconds = false, absolute = false;
  const bool changes = call.argc() > 2, expires = call.argc() == 4 && is_expiry_option(call, 2, seconds, absolute);
  if (changes && !expires && !(call.argc() == 3 && call.arg_is(2, "PERSIST"))) return call.error(kSyntaxError);
  const Entry* entry = as_string(call, call.write(key), wrong);
  if (wrong) return;
  int64_t expires_ms = 0;  // a missing key's is not looked at, as in Redis
  if (entry != nullptr && expires && !expiry_arg(call, 3, seconds, absolute, expires_ms)) return;
  reply_value(call, entry);
  if (entry == nullptr || !changes) return;
  if (expires_ms == 0 && entry->expires_ms() == 0) return;
  entry = keyspace::set_expiry(call.tx(), key, *entry, expires_ms);
  if (entry != nullptr) call.changed(key, *entry);
}

void cmd_mget(Call& call) {
  call.reply().array(static_cast<uint32_t>(call.argc() - 1));
  for (size_t i = 1; i < call.argc(); ++i) {
    const Entry* entry = call.read(call.key(i));
    reply_value(call, entry != nullptr && entry->type() == Type::kString ? entry : nullptr);
  }
}

void cmd_mset(Call& call) { set_many(call, false); }
void cmd_msetnx(Call& call) { set_many(call, true); }

void cmd_append(Call& call) {
  const Key key = call.key(1);
  bool wrong;
  const Entry* entry = as_string(call, call.write(key), wrong);
  if (wrong) return;
  const uint64_t length = entry == nullptr ? 0 : string::length(*entry);
  if (length + call.arg(2).size() > kValueBytesMax) return call.error(kStringTooLong);
  if (entry == nullptr) {
    store_string(call, key, nullptr, call.arg(2), 0);
  } else if (call.arg(2).empty()) {
    keyspace::touch(call.tx(), key, *entry);  // Redis tells WATCHers of this, too
  } else {
    keyspace::write_range(call.tx(), key, *entry, length, call.arg(2));
  }
  call.reply().integer(static_cast<int64_t>(length + call.arg(2).size()));
}

void cmd_strlen(Call& call) {
  bool wrong;
  const Entry* entry = as_string(call, call.read(call.key(1)), wrong);
  if (!wrong) call.reply().integer(entry == nullptr ? 0 : static_cast<int64_t>(string::length(*entry)));
}

void cmd_getrange(Call& call) {
  int64_t start, end;
  if (!call.integer_arg(2, start) || !call.integer_arg(3, end)) return;
  bool wrong;
  const Entry* entry = as_string(call, call.read(call.key(1)), wrong);
  if (wrong) return;
  const int64_t length = entry == nullptr ? 0 : static_cast<int64_t>(string::length(*entry));
  if (start < 0 && end < 0 && start > end) return call.reply().bulk({});
  if (start < 0) start = std::max<int64_t>(start + length, 0);
  if (end < 0) end = std::max<int64_t>(end + length, 0);
  end = std::min(end, length - 1);
  if (length == 0 || start > end) return call.reply().bulk({});
  reply_range(call, *entry, static_cast<uint64_t>(start), static_cast<uint64_t>(end - start + 1));
}

void cmd_setrange(Call& call) {
  int64_t offset;
  if (!call.integer_arg(2, offset)) return;
  if (offset < 0) return call.error("ERR offset is out of range");
  const Key key = call.key(1);
  const Bytes value = call.arg(3);
  bool wrong;
  const Entry* entry = as_string(call, call.write(key), wrong);
  if (wrong) return;
  const uint64_t length = entry == nullptr ? 0 : string::length(*entry);
  if (value.empty()) return call.reply().integer(static_cast<int64_t>(length));
  if (static_cast<uint64_t>(offset) + value.size() > kValueBytesMax) return call.error(kStringTooLong);
  if (entry == nullptr) entry = store_string(call, key, nullptr, {}, 0);
  if (entry == nullptr) return;
  keyspace::write_range(call.tx(), key, *entry, static_cast<uint64_t>(offset), value);
  call.reply().integer(static_cast<int64_t>(std::max(length, static_cast<uint64_t>(offset) + value.size())));
}

void cmd_incr(Call& call) { increment(call, 1); }
void cmd_decr(Call& call) { increment(call, -1); }

void cmd_incrby(Call& call) {
  int64_t by;
  if (call.integer_arg(2, by)) increment(call, by);
}

void cmd_decrby(Call& call) {
  int64_t by;
  if (!call.integer_arg(2, by)) return;
  if (by == INT64_MIN) return call.error("ERR decrement would overflow");
  increment(call, -by);
}

void cmd_incrbyfloat(Call& call) {
  const Key key = call.key(1);
  bool wrong;
  const Entry* entry = as_string(call, call.write(key), wrong);
  if (wrong) return;
  long double value = 0, by = 0;
  if ((entry != nullptr && !parse_long_double(short_text(*entry), value)) || !parse_long_double(call.arg(2), by)) {
    return call.error(kNotAFloat);
  }
  value += by;
  if (std::isnan(value) || std::isinf(value)) return call.error("ERR increment would produce NaN or Infinity");
  const LongFloatText text = format_long_double(value);
  store_string(call, key, entry, text, kKeepExpiry);
  call.reply().bulk(text);
}

}  // namespace shoal
