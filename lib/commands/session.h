// SPDX-License-Identifier: MIT
// session.h: what one Redis connection would hold: the selected database, the MULTI queue, WATCHed keys, a name. A
// session lives in its process; nothing of it lies in the segment, except a blocked command's waiters
// (commands/blocking.h).
//
// Not for two threads at once; it may move between threads. After fork a child may go on with a copy of a session that
// was not blocked.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "commands/blocking.h"
#include "commands/command.h"
#include "process/process.h"

namespace shoal {

// CLIENT ID: of one life of a slot, and of a session in it; session 0 stands for the process. Positive as an int64_t.
inline constexpr uint32_t kClientSessionBits = 24, kClientSlotBits = 16, kClientGenerationBits = 23;
constexpr uint64_t client_id(uint32_t slot_index, uint64_t slot_generation, uint64_t session) noexcept {
  constexpr auto low = [](uint64_t value, uint32_t bits) { return value & ((uint64_t{1} << bits) - 1); };
  return low(slot_generation, kClientGenerationBits) << (kClientSlotBits + kClientSessionBits) |
         low(slot_index, kClientSlotBits) << kClientSessionBits | low(session, kClientSessionBits);
}
constexpr bool same_process(uint64_t id, uint64_t other) noexcept { return (id ^ other) >> kClientSessionBits == 0; }

enum class Outcome {
  kReplied,  // reply() holds the answer, which may be a Redis error
  kBusy,     // a lock was not had within the loop's budget: nothing happened; run it again on another thread
  kPending,  // a blocking command waits: see commands/blocking.h
  kFailed,   // status(): the segment is not usable, a holder is stopped ...
};

class Session {
 public:
  explicit Session(std::shared_ptr<Process> process, uint32_t database = 0, int protocol = 3);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Runs one command: name and arguments. budget_ns bounds the wait for locks: kLockBudgetNs, or kLoopLockBudgetNs on
  // an event loop.
  Outcome execute(std::span<const Bytes> arguments, int64_t budget_ns = kLockBudgetNs);
  // MULTI ... EXEC in one call: all commands atomically, under the session's WATCHes, which end with it. The reply is
  // EXEC's: an array, null if a watch fired, EXECABORT if a command is not even well-formed.
  Outcome execute_atomically(std::span<const std::vector<Bytes>> commands, int64_t budget_ns = kLockBudgetNs);

  // Runs the blocking command that waits again: blocking::resume() is what to call.
  Outcome run_again(int64_t budget_ns);

  const Reply& reply() const noexcept { return reply_; }
  const Status& status() const noexcept { return status_; }

  Process& process() noexcept { return *process_; }
  const std::shared_ptr<Process>& shared_process() const noexcept { return process_; }
  uint32_t database() const noexcept { return database_; }
  int protocol() const noexcept { return protocol_; }
  void select(uint32_t database) noexcept { database_ = database; }
  void set_protocol(int protocol) noexcept { protocol_ = protocol; }
  std::string& name() noexcept { return name_; }
  uint64_t id() const noexcept;  // of no other session that this segment has seen; a forked copy has its own

  // MULTI state, for cmd_transactions.cc.
  struct Watch {
    uint32_t database;
    std::string key;
    uint64_t version;
  };
  bool in_multi() const noexcept { return in_multi_; }
  bool runs_atomically() const noexcept { return commands_of_exec_ >= 0; }  // EXEC is at work
  int64_t commands_of_exec() const noexcept { return commands_of_exec_; }   // -1: it is not
  void start_multi() noexcept;
  void discard() noexcept;  // leaves MULTI and forgets the WATCHes
  void watch(const Key& key, uint64_t version);
  std::vector<Watch>& watches() noexcept { return watches_; }

  BlockedCall& blocked_call() noexcept { return blocked_; }
  const BlockedCall& blocked_call() const noexcept { return blocked_; }
  Wakes& wakes() noexcept { return wakes_; }  // who is to be woken after this commit

  int64_t budget_ns() const noexcept { return budget_ns_; }  // of the call that runs, for what locks by itself

  Outcome fail(Status status) noexcept {
    status_ = status;
    return Outcome::kFailed;
  }

 private:
  friend class CallRunner;
  static constexpr size_t kArenaKeptBytes = 1 * kMiB;
  void begin_call() {
    if (__builtin_expect(blocked_.registered, 0)) blocking::cancel(*this);
    reply_.shrink_to(kArenaKeptBytes);
    reply_.clear();
  }
  Outcome queue(const Command& command, std::span<const Bytes> arguments);
  Outcome execute_queued(int64_t budget_ns);

  std::shared_ptr<Process> process_;
  Reply reply_;
  Status status_;
  uint32_t database_;
  int protocol_;
  uint64_t number_;  // in its process
  std::string name_;
  int64_t budget_ns_ = kLockBudgetNs;
  bool in_multi_ = false, multi_broken_ = false;
  int64_t commands_of_exec_ = -1;
  std::vector<std::vector<std::string>> queued_;
  std::vector<Watch> watches_;
  BlockedCall blocked_;
  Wakes wakes_;
};

}  // namespace shoal
