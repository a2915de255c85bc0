// SPDX-License-Identifier: MIT
// call.h: the one path of every command: optimistic try, locks, transaction, handler, growth, commit, wakes.
//
//   arguments in private memory -> shards of the keys -> [optimistic handler] -> lock -> handler -> commit -> unlock
//         -> wakes
//                                        ^                                        |
//                                        +--- segment grown, or arena enlarged ---+  (undone first)
//
// Dies at any line: before the commit the command did not happen; after it, recovery does the wakes.
#pragma once

#include "commands/session.h"

namespace shoal {

// Shards that the command will touch, as a mask; 0: a key is too long. `first_key`: its hash, if there is one.
uint64_t shards_of(const Segment& segment, const Command& command, std::span<const Bytes> arguments, uint32_t database,
                   uint64_t& first_key) noexcept;

// Arity and existence; answers the error and returns nullptr.
const Command* check_command(std::span<const Bytes> arguments, Reply& reply);

class CallRunner {
 public:
  explicit CallRunner(Session& session) noexcept : session_(session) {}
  Outcome run(const Command& command, std::span<const Bytes> arguments, int64_t budget_ns);
  Outcome run_all(std::span<const std::vector<Bytes>> commands, int64_t budget_ns);

 private:
  bool watched_changed() const noexcept;
  void after_commit(Transaction& tx, int64_t budget_ns) noexcept;  // unlocked: messages, wakes
  // Locks, runs `body(tx)` and commits; repeats it after growth. The body leaves its answer in the session's reply.
  template <typename Body>
  Outcome transact(const Purpose& purpose, uint64_t shards, int64_t budget_ns, Body&& body);

  Session& session_;
};

}  // namespace shoal
