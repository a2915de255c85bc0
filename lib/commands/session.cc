// SPDX-License-Identifier: MIT
#include "commands/session.h"

#include <atomic>

#include "commands/call.h"

namespace shoal {

namespace {
uint64_t next_session_number() {
  static constinit std::atomic<uint64_t> next{1};
  return next.fetch_add(1, std::memory_order_relaxed);
}
}  // namespace

Session::Session(std::shared_ptr<Process> process, uint32_t database, int protocol)
    : process_(std::move(process)), database_(database), protocol_(protocol), number_(next_session_number()) {}

uint64_t Session::id() const noexcept {
  return client_id(process_->slot_index(), process_->slot_generation(), number_);
}

Session::~Session() { blocking::cancel(*this); }

Outcome Session::execute(std::span<const Bytes> arguments, int64_t budget_ns) {
  begin_call();
  if (arguments.empty()) {
    reply_.error("ERR wrong number of arguments");
    return Outcome::kReplied;
  }
  const Command* command = check_command(arguments, reply_);
  if (command == nullptr) {
    multi_broken_ = in_multi_;
    if (is_word(arguments[0], "EXEC")) {  // one that is not even well-formed ends the transaction
      discard();
      reply_.clear();
      reply_.error("EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command");
    }
    return Outcome::kReplied;
  }
  for (size_t i = 1; i < arguments.size(); ++i) {
    if (arguments[i].size() > kValueBytesMax) {
      reply_.error(kStringTooLong);
      return Outcome::kReplied;
    }
  }
  const std::string_view name = command->name;
  if (in_multi_ && name != "EXEC" && name != "DISCARD" && name != "MULTI" && name != "WATCH")
    return queue(*command, arguments);
  if (name == "EXEC" && in_multi_) return execute_queued(budget_ns);
  return CallRunner(*this).run(*command, arguments, budget_ns);
}

Outcome Session::run_again(int64_t budget_ns) {
  reply_.clear();
  const std::vector<Bytes> arguments(blocked_.arguments.begin(), blocked_.arguments.end());
  return CallRunner(*this).run(*find_command(arguments[0]), arguments, budget_ns);
}

Outcome Session::queue(const Command& command, std::span<const Bytes> arguments) {
  if ((command.flags & kNotInMulti) != 0) {
    multi_broken_ = true;
    reply_.error("ERR Command not allowed inside a transaction");
    return Outcome::kReplied;
  }
  queued_.emplace_back(arguments.begin(), arguments.end());
  reply_.simple("QUEUED");
  return Outcome::kReplied;
}

Outcome Session::execute_queued(int64_t budget_ns) {
  if (multi_broken_) {
    discard();
    reply_.error("EXECABORT Transaction discarded because of previous errors.");
    return Outcome::kReplied;
  }
  std::vector<std::vector<Bytes>> commands;
  commands.reserve(queued_.size());
  for (const auto& arguments : queued_) commands.emplace_back(arguments.begin(), arguments.end());
  const Outcome outcome = CallRunner(*this).run_all(commands, budget_ns);
  if (outcome != Outcome::kBusy) discard();
  return outcome;
}

Outcome Session::execute_atomically(std::span<const std::vector<Bytes>> commands, int64_t budget_ns) {
  reply_.shrink_to(kArenaKeptBytes);
  reply_.clear();
  for (const auto& arguments : commands) {
    const Command* command = arguments.empty() ? nullptr : check_command(arguments, reply_);
    if (command == nullptr || (command->flags & kNotInMulti) != 0) {
      discard();
      reply_.clear();
      reply_.error("EXECABORT Transaction discarded because of previous errors.");
      return Outcome::kReplied;
    }
  }
  const Outcome outcome = CallRunner(*this).run_all(commands, budget_ns);
  if (outcome != Outcome::kBusy) discard();
  return outcome;
}

void Session::start_multi() noexcept {
  in_multi_ = true;
  multi_broken_ = false;
  queued_.clear();
}

void Session::discard() noexcept {
  in_multi_ = multi_broken_ = false;
  queued_.clear();
  watches_.clear();
}

void Session::watch(const Key& key, uint64_t version) {
  for (const Watch& watch : watches_) {
    if (watch.database == key.database && watch.key == key.name) return;
  }
  watches_.push_back({key.database, std::string(key.name), version});
}

}  // namespace shoal
