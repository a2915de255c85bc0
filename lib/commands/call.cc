// SPDX-License-Identifier: MIT
#include "commands/call.h"

#include <algorithm>

#include "base/clock.h"
#include "channels/outbox.h"
#include "commands/cmd_string.h"
#include "commands/lower_case.h"
#include "keyspace/keyspace.h"
#include "keyspace/make_room.h"
#include "process/give_way.h"

namespace shoal {

namespace {

constexpr const char* kKeyTooLong = "ERR the key is longer than 1000000 bytes, the most that Shoal takes";

// Names as clients wrote them, for messages: at most 128 bytes and none behind a zero, as Redis does.
std::string quoted(Bytes text, size_t most = 128) {
  return std::string(text.substr(0, std::min<size_t>(text.find('\0'), most)));
}

void answer_unknown(std::span<const Bytes> arguments, Reply& reply) {
  constexpr size_t kMost = 128;
  std::string begin;
  for (size_t i = 1; i < arguments.size() && begin.size() < kMost; ++i)
    begin += "'" + quoted(arguments[i], kMost - begin.size()) + "' ";
  reply.error("ERR unknown command '" + quoted(arguments[0]) + "', with args beginning with: " + begin);
}

Purpose purpose_of(const Command& command, uint64_t first_key) noexcept {
  const auto row = static_cast<uint32_t>(&command - command_table().data());
  return {command.handler == cmd_set ? Purpose::kSet : row + 1, (command.flags & kWrite) == 0, first_key};
}

uint64_t all_shards(const Segment& segment) noexcept { return ~uint64_t{0} >> (64 - segment.shard_count()); }

// Calls visit(argument) for each of the command's keys.
template <typename Visit>
void for_each_key(const Command& command, std::span<const Bytes> arguments, Visit&& visit) noexcept {
  if (command.keys.first == 0) return;
  const auto argc = static_cast<int64_t>(arguments.size());
  const auto key = [&](int64_t index) {
    if (index < argc) visit(arguments[static_cast<size_t>(index)]);
  };
  if ((command.flags & kNumKeys) != 0) {
    int64_t count = 0;
    if (command.keys.last > 0) key(command.keys.last);
    if (command.keys.first < argc && parse_integer(arguments[static_cast<size_t>(command.keys.first)], count)) {
      for (int64_t i = 1; i <= count && command.keys.first + i < argc; ++i) key(command.keys.first + i);
    }
  } else {
    const int64_t last = command.keys.last < 0 ? argc + command.keys.last : command.keys.last;
    for (int64_t i = command.keys.first; i <= last; i += command.keys.step) key(i);
  }
}

// Whether it is convicted, or one of its keys: begin() has looked at what was announced, which is EXEC or one key.
bool refuses(const Transaction& tx, const Command& command, std::span<const Bytes> arguments,
             uint32_t database) noexcept {
  if (!tx.suspected()) return false;
  bool refused = tx.refuses(purpose_of(command, 0).kind, 0);
  for_each_key(command, arguments, [&](Bytes name) {
    refused = refused || tx.refuses(purpose_of(command, 0).kind, keyspace::make_key(tx.segment(), database, name).hash);
  });
  return refused;
}

Outcome refuse(Transaction& tx, Reply& reply) {
  tx.proves_nothing();
  reply.error(suspect::kRefused);
  return Outcome::kReplied;
}

// What EXEC will run: each command, and the database that it will find selected.
struct Plan {
  struct Part {
    const Command* command;
    uint32_t database;
    uint64_t first_key;
  };
  std::vector<Part> parts;
  uint64_t shards = 0;
  bool writes = false, key_too_long = false;
};

Plan plan_of(const Segment& segment, std::span<const std::vector<Bytes>> commands, uint32_t database, Reply& reply) {
  Plan plan;
  for (const auto& arguments : commands) {
    const Command* command = check_command(arguments, reply);
    SHOAL_ASSERT(command != nullptr);  // checked when it was queued
    int64_t selected = 0;
    if (std::string_view(command->name) == "SELECT" && parse_integer(arguments[1], selected) && selected >= 0 &&
        selected < kDatabaseCount) {
      database = static_cast<uint32_t>(selected);
    }
    Plan::Part& part = plan.parts.emplace_back(Plan::Part{command, database, 0});
    if ((command->flags & kSession) != 0 && command->shards == nullptr) continue;
    plan.writes |= (command->flags & kReadOnly) == 0;
    const uint64_t own = shards_of(segment, *command, arguments, database, part.first_key);
    plan.key_too_long |= own == 0;
    plan.shards |= own;
  }
  return plan;
}

}  // namespace

const Command* check_command(std::span<const Bytes> arguments, Reply& reply) {
  const Command* command = find_command(arguments[0]);
  if (command != nullptr && command->handler == nullptr) {  // a family of subcommands
    std::string full = command->name;
    const Command* sub = arguments.size() < 2 ? nullptr : find_command(full + "|" + std::string(arguments[1]));
    if (sub == nullptr) {
      if (arguments.size() < 2) {
        reply.error("ERR wrong number of arguments for '" + lower_case(command->name) + "' command");
      } else {
        reply.error("ERR unknown subcommand '" + quoted(arguments[1]) + "'. Try " + full + " HELP.");
      }
      return nullptr;
    }
    command = sub;
  }
  if (command == nullptr) {
    answer_unknown(arguments, reply);
    return nullptr;
  }
  const auto argc = static_cast<int64_t>(arguments.size());
  if (argc < command->arity.least || argc > command->arity.most) {
    reply.error("ERR wrong number of arguments for '" + lower_case(command->name) + "' command");
    return nullptr;
  }
  return command;
}

uint64_t shards_of(const Segment& segment, const Command& command, std::span<const Bytes> arguments, uint32_t database,
                   uint64_t& first_key) noexcept {
  uint64_t mask = 0;
  bool too_long = false;
  for_each_key(command, arguments, [&](Bytes name) {
    too_long |= name.size() > kNameBytesMax;
    const Key key = keyspace::make_key(segment, database, name);
    if (mask == 0) first_key = key.hash;
    mask |= uint64_t{1} << key.shard;
  });
  if (too_long) return 0;
  if ((command.flags & kAllShards) != 0) return all_shards(segment);
  if (command.shards != nullptr) return command.shards(segment, arguments, database);
  return mask == 0 ? 1 : mask;  // malformed: any shard; the handler will say what is wrong
}

void CallRunner::after_commit(Transaction& tx, int64_t budget_ns) noexcept {
  if (shm::Context& self = tx.context(); channels::has_outbox(self)) {
    (void)channels::flush(session_.process(), self, self, budget_ns);  // what stays: see flush()
  }
  if (session_.wakes_.empty()) return;
  const bool woken = waiters::ring(session_.process(), session_.wakes_);
  tx.settle_wakes();
  if (woken) give_way();
}

template <typename Body>
Outcome CallRunner::transact(const Purpose& purpose, uint64_t shards, int64_t budget_ns, Body&& body) {
  Process& process = session_.process();
  Reply& reply = session_.reply_;
  const size_t start = reply.used();
  for (keyspace::MoreRoom more_room;;) {
    auto context = process.context();
    if (!context.ok()) return session_.fail(context.status());
    uint64_t wanted = 0, more_shards = 0;
    {
      Transaction tx(process, *context.value(), purpose);
      if (Status status = tx.begin(shards, budget_ns); !status.ok()) {
        if (status.code() != Code::kRedisError)
          return status.code() == Code::kBusy ? Outcome::kBusy : session_.fail(status);
        reply.error(status.text());
        return Outcome::kReplied;
      }
      session_.wakes_.clear();
      const Outcome outcome = body(tx);
      if (!reply.overflow()) {
        wanted = tx.bytes_wanted();
        if (tx.commit().ok()) {
          after_commit(tx, budget_ns);
          return outcome;
        }
        wanted = std::max(wanted, tx.bytes_wanted());
        more_shards = tx.shards_wanted();
      }
    }  // undone and unlocked
    if (reply.overflow()) {
      reply.enlarge();
      if (start != 0) return session_.fail({Code::kSystem, "a reply outgrew its arena in the middle"});
      continue;
    }
    reply.rewind(start);
    if (more_shards != 0) {
      shards |= more_shards;
      continue;
    }
    const Status status = more_room.find(process, shards, std::max(wanted, kExtentBytes / 2), budget_ns);
    if (!status.ok()) {
      reply.error(std::string(status.code() == Code::kFull && std::string_view(status.text()).starts_with("OOM")
                                  ? ""
                                  : "OOM ") +
                  status.text());
      return Outcome::kReplied;
    }
  }
}

Outcome CallRunner::run(const Command& command, std::span<const Bytes> arguments, int64_t budget_ns) {
  Reply& reply = session_.reply_;
  for (;;) {
    if ((command.flags & kSession) != 0) {
      Call call(session_, command, arguments, nullptr, reply);
      session_.budget_ns_ = budget_ns;
      session_.status_ = {};
      command.handler(call);
      if (const Status status = session_.status_; !status.ok()) {
        return status.code() == Code::kBusy ? Outcome::kBusy : session_.fail(status);
      }
      if (!reply.overflow()) return Outcome::kReplied;
    } else if (command.optimistic != nullptr) {
#ifndef SHOAL_LOCKED_READS
      Call call(session_, command, arguments, nullptr, reply);
      const size_t start = reply.used();
      if (!command.optimistic(call)) {  // what it read is worth nothing, and so is what it wrote of it
        reply.clear_overflow();
        reply.rewind(start);
        break;
      }
      if (!reply.overflow()) return Outcome::kReplied;
#else
      break;
#endif
    } else {
      break;
    }
    reply.enlarge();
  }
  uint64_t first_key = 0;
  const uint64_t shards = shards_of(session_.process().segment(), command, arguments, session_.database(), first_key);
  if (shards == 0) {
    reply.error(kKeyTooLong);
    return Outcome::kReplied;
  }
  const bool blocks = (command.flags & kBlocking) != 0;
  if (blocks) blocking::before(session_, arguments);
  const Outcome result = transact(purpose_of(command, first_key), shards, budget_ns, [&](Transaction& tx) {
    if (refuses(tx, command, arguments, session_.database())) return refuse(tx, reply);
    Call call(session_, command, arguments, &tx, reply);
    command.handler(call);
    if (call.failed() && !reply.overflow()) tx.rollback_to({0, 0});
    if ((command.flags & kWrite) != 0) keyspace::free_a_little(tx);
    if (call.failed()) tx.proves_nothing();
    return call.blocked() ? Outcome::kPending : Outcome::kReplied;
  });
  if (blocks) blocking::after(session_, result, arguments);
  return result;
}

bool CallRunner::watched_changed() const noexcept {
  const Segment& segment = session_.process().segment();
  const int64_t now_ms = wall_clock_ms();
  return std::ranges::any_of(session_.watches_, [&](const auto& watch) {
    return keyspace::version(segment, keyspace::make_key(segment, watch.database, watch.key), now_ms) != watch.version;
  });
}

Outcome CallRunner::run_all(std::span<const std::vector<Bytes>> commands, int64_t budget_ns) {
  const Segment& segment = session_.process().segment();
  Reply& reply = session_.reply_;
  const uint32_t first_database = session_.database();
  const Plan plan = plan_of(segment, commands, first_database, reply);
  if (plan.key_too_long) {
    reply.error(kKeyTooLong);
    return Outcome::kReplied;
  }
  uint64_t shards = plan.shards;
  for (const auto& watch : session_.watches_) {
    shards |= uint64_t{1} << keyspace::make_key(segment, watch.database, watch.key).shard;
  }
  const size_t start = reply.used();
  session_.commands_of_exec_ = static_cast<int64_t>(commands.size());
  const Purpose purpose{purpose_of(*find_command("EXEC"), 0).kind, !plan.writes};  // then each command's own
  const Outcome outcome = transact(purpose, shards == 0 ? 1 : shards, budget_ns, [&](Transaction& tx) {
    session_.select(first_database);
    if (watched_changed()) {
      tx.proves_nothing();
      reply.null_array();
      return Outcome::kReplied;
    }
    for (size_t i = 0; i < commands.size(); ++i) {
      if (refuses(tx, *plan.parts[i].command, commands[i], plan.parts[i].database)) return refuse(tx, reply);
    }
    reply.array(static_cast<uint32_t>(commands.size()));
    for (size_t i = 0; i < commands.size() && !tx.failed(); ++i) {
      const Transaction::Savepoint before = tx.savepoint();
      const Plan::Part& part = plan.parts[i];
      const Command& command = *part.command;
      const uint32_t names = tx.names();
      tx.name(purpose_of(command, 0).kind, part.first_key);
      Call call(session_, command, commands[i], &tx, reply);
      command.handler(call);
      if (call.failed()) tx.forget_names(names);
      if (call.failed() && !tx.failed() && !reply.overflow()) tx.rollback_to(before);
    }
    return Outcome::kReplied;
  });
  session_.commands_of_exec_ = -1;
  // A SELECT of what was undone, or did not come to run, has not been.
  const bool ran = outcome == Outcome::kReplied && reply.data()[start] == static_cast<char>(Reply::Tag::kArray);
  if (!ran) session_.select(first_database);
  return outcome;
}

}  // namespace shoal
