// SPDX-License-Identifier: MIT
// expire_task.h: deletes keys whose time has come, frees what was removed lazily, and drops queues that were unused for
// longer than they may be. A few milliseconds a turn, in transactions of some tens of microseconds, so that workers
// hardly meet a lock of ours; a lock that somebody else holds is left for the next turn.
#pragma once

#include <vector>

#include "daemon/task.h"
#include "keyspace/expiry.h"

namespace shoal::daemon {

class ExpireTask : public Task {
 public:
  explicit ExpireTask(Process& process) : process_(process), shards_(process.segment().shard_count()) {}
  std::chrono::milliseconds turn() override;
  uint64_t keys_expired() const noexcept { return keys_expired_; }

 private:
  struct ShardState {
    keyspace::ExpiryPass pass;
    bool bound_trusted = false;  // ours: what a predecessor left may be too high
    bool refused = false;        // once, and that was said
  };
  enum class Left { kNothing, kSome };

  Left expire(uint32_t shard);
  Left free(uint32_t shard);
  template <typename Body>
  bool transact(uint32_t shard, Purpose::Kind kind, Body&& body);

  Process& process_;
  std::vector<ShardState> shards_;
  uint32_t next_ = 0;  // shard to begin the next turn with
  int64_t queues_after_ns_ = 0;
  uint64_t keys_expired_ = 0;
};

}  // namespace shoal::daemon
