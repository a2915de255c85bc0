// SPDX-License-Identifier: MIT
// cmd_server.cc: commands about the session (PING, SELECT, HELLO, MULTI, WATCH) and about the whole (INFO).
#include "commands/cmd_server.h"

#include <string>

#include "base/clock.h"
#include "commands/command.h"
#include "commands/session.h"
#include "process/slot.h"

namespace shoal {

namespace {

// Redis's version whose semantics these are: what clients ask INFO and HELLO for.
constexpr const char* kRedisVersion = "7.0.15";

constexpr Bytes kDefaultUser = "default";
constexpr const char* kWrongPassword = "WRONGPASS invalid username-password pair or user is disabled.";

void reply_field(Reply& reply, const char* name, Bytes value) noexcept {
  reply.bulk(name);
  reply.bulk(value);
}

}  // namespace

void cmd_ping(Call& call) {
  if (call.argc() > 2) return call.error("ERR wrong number of arguments for 'ping' command");
  if (call.argc() == 2) return call.reply().bulk(call.arg(1));
  call.reply().simple("PONG");
}

void cmd_echo(Call& call) { call.reply().bulk(call.arg(1)); }

void cmd_select(Call& call) {
  uint32_t database;
  if (const char* error = parse_database(call.arg(1), database); error != nullptr) return call.error(error);
  call.session().select(database);
  call.reply().ok();
}

// Nobody is asked for a password: who can map the segment may use it (file mode and owner decide). As on a server
// without one, the only user is `default`, and any password is his.
void cmd_auth(Call& call) {
  if (call.argc() > 3) return call.error(kSyntaxError);
  if (call.argc() == 3) return call.arg(1) == kDefaultUser ? call.reply().ok() : call.error(kWrongPassword);
  call.error(
      "ERR AUTH <password> called without any password configured for the default user. Are you sure your "
      "configuration is correct?");
}

void cmd_hello(Call& call) {
  int64_t protocol = call.session().protocol();
  size_t i = 1;
  if (call.argc() > 1) {
    if (!parse_integer(call.arg(i++), protocol))
      return call.error("ERR Protocol version is not an integer or out of range");
    if (protocol != 2 && protocol != 3) return call.error("NOPROTO unsupported protocol version");
  }
  for (; i < call.argc(); ++i) {
    if (call.arg_is(i, "SETNAME") && i + 1 < call.argc()) {
      call.session().name() = std::string(call.arg(++i));
    } else if (call.arg_is(i, "AUTH") && i + 2 < call.argc()) {
      if (call.arg(i + 1) != kDefaultUser) return call.error(kWrongPassword);
      i += 2;
    } else {
      return call.error("ERR Syntax error in HELLO option '" + std::string(call.arg(i)) + "'");
    }
  }
  call.session().set_protocol(static_cast<int>(protocol));
  Reply& reply = call.reply();
  reply.map(7);
  reply_field(reply, "server", "redis");
  reply_field(reply, "version", kRedisVersion);
  reply.bulk("proto");
  reply.integer(protocol);
  reply.bulk("id");
  reply.integer(static_cast<int64_t>(call.session().id()));
  reply_field(reply, "mode", "standalone");
  reply_field(reply, "role", "master");
  reply.bulk("modules");
  reply.array(0);
}

void cmd_reset(Call& call) {
  call.session().discard();
  call.session().select(0);
  call.session().set_protocol(2);
  call.session().name().clear();
  call.reply().simple("RESET");
}

void cmd_time(Call& call) {
  const int64_t now_ms = wall_clock_ms();
  call.reply().array(2);
  call.reply().bulk(format_integer(now_ms / 1000));
  call.reply().bulk(format_integer(now_ms % 1000 * 1000));
}

void cmd_command_count(Call& call) {
  int64_t count = 0;
  for (const Command& row : command_table()) count += Bytes(row.name).find('|') == Bytes::npos;
  call.reply().integer(count);
}

void cmd_command_list(Call& call) {
  const size_t mark = call.reply().begin(Reply::Tag::kArray);
  uint32_t count = 0;
  for (const Command& row : command_table()) {
    char name[64];
    uint32_t length = 0;
    for (const char* c = row.name; *c != '\0'; ++c)
      name[length++] = static_cast<char>(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
    call.reply().bulk({name, length});
    ++count;
  }
  call.reply().end(mark, count);
}

// There are no replicas to wait for.
void cmd_wait(Call& call) {
  int64_t replicas, timeout_ms;
  if (!call.integer_arg(1, replicas)) return;
  if (!call.integer_arg(2, timeout_ms, "ERR timeout is not an integer or out of range")) return;
  if (timeout_ms < 0) return call.error("ERR timeout is negative");
  call.reply().integer(0);
}

void cmd_info(Call& call) {
  const Segment& segment = call.segment();
  const shm::Header& header = segment.header();
  uint64_t used = 0, keys[kDatabaseCount] = {}, expires[kDatabaseCount] = {};
  for (uint32_t i = 0; i < segment.shard_count(); ++i) {
    used += segment.shard(i).bytes_used;
    for (uint32_t database = 0; database < kDatabaseCount; ++database) {
      keys[database] += segment.shard(i).database_keys[database];
      expires[database] += segment.shard(i).database_expires[database];
    }
  }
  std::string text = "# Server\r\nredis_version:" + std::string(kRedisVersion) +
                     "\r\nshoal_version:" SHOAL_VERSION "\r\nredis_mode:standalone\r\narch_bits:64\r\nprocess_id:0\r\n";
  text += "uptime_in_seconds:" + std::to_string((wall_clock_ms() - static_cast<int64_t>(header.created_ms)) / 1000) +
          "\r\n";
  uint32_t attached = 0;  // the dead as well, until they are reaped
  for (uint32_t i = 0; i < segment.slot_high(); ++i) attached += slot_state(segment, i) == shm::SlotState::kUsed;
  text += "\r\n# Clients\r\nconnected_clients:" + std::to_string(attached) + "\r\n";
  text += "\r\n# Memory\r\nused_memory:" + std::to_string(used) +
          "\r\nused_memory_human:" + std::to_string(used / kMiB) +
          "M\r\nused_memory_rss:" + std::to_string(segment.committed()) +
          "\r\nmaxmemory:" + std::to_string(header.max_size) + "\r\n";
  text += "\r\n# Persistence\r\nloading:0\r\n\r\n# Replication\r\nrole:master\r\nconnected_slaves:0\r\n";
  text += "\r\n# Cluster\r\ncluster_enabled:0\r\n\r\n# Keyspace\r\n";
  for (uint32_t database = 0; database < kDatabaseCount; ++database) {
    if (keys[database] == 0) continue;
    text += "db" + std::to_string(database) + ":keys=" + std::to_string(keys[database]) +
            ",expires=" + std::to_string(expires[database]) + ",avg_ttl=0\r\n";
  }
  call.reply().bulk(text);
}

void cmd_multi(Call& call) {
  if (call.session().in_multi()) return call.error("ERR MULTI calls can not be nested");
  call.session().start_multi();
  call.reply().ok();
}

void cmd_exec(Call& call) { call.error("ERR EXEC without MULTI"); }

void cmd_discard(Call& call) {
  if (!call.session().in_multi()) return call.error("ERR DISCARD without MULTI");
  call.session().discard();
  call.reply().ok();
}

void cmd_watch(Call& call) {
  if (call.session().in_multi()) return call.error("ERR WATCH inside MULTI is not allowed");
  for (size_t i = 1; i < call.argc(); ++i) {
    const Key key = call.key(i);
    call.session().watch(key, keyspace::version(call.segment(), key, call.now_ms()));
  }
  call.reply().ok();
}

void cmd_unwatch(Call& call) {
  if (!call.session().in_multi()) call.session().watches().clear();
  call.reply().ok();
}

}  // namespace shoal
