// SPDX-License-Identifier: MIT
#include "daemon/expire_task.h"

#include <numeric>
#include <utility>

#include "base/clock.h"
#include "daemon/log.h"
#include "queues/task_queue.h"

namespace shoal::daemon {

using namespace std::chrono_literals;

namespace {

constexpr int64_t kTurnNs = 2'000'000;
constexpr int64_t kQueuesEveryNs = 1'000'000'000;
constexpr uint32_t kFreeBudget = 8;

uint64_t keys_in(const shm::Shard& shard) {
  return std::accumulate(std::begin(shard.database_keys), std::end(shard.database_keys), uint64_t{0});
}

}  // namespace

// One transaction on the shard; false: it did not happen.
template <typename Body>
bool ExpireTask::transact(uint32_t shard, Purpose::Kind kind, Body&& body) {
  auto context = process_.context();
  if (!context.ok()) return false;
  Transaction tx(process_, *context.value(), {kind});
  const Status status = tx.begin(uint64_t{1} << shard, kLoopLockBudgetNs);
  if (status.code() == Code::kRedisError && !std::exchange(shards_[shard].refused, true))
    log_warning("shard " + std::to_string(shard) + ": nothing expires, or is freed: " + status.text());
  if (!status.ok()) return false;
  body(tx);
  return tx.commit().ok();
}

ExpireTask::Left ExpireTask::expire(uint32_t shard) {
  ShardState& state = shards_[shard];
  const int64_t now = wall_clock_ms();
  const bool due = state.pass.running || !state.bound_trusted || keyspace::expiry_due(process_.segment(), shard, now);
  if (!due) return Left::kNothing;
  keyspace::ExpiryPass pass = state.pass;
  bool over = false;
  uint64_t gone = 0;
  const bool done = transact(shard, Purpose::kExpire, [&](Transaction& tx) {
    const uint64_t before = keys_in(tx.shard(shard));
    over = keyspace::expire_step(tx, shard, now, pass);
    gone = before - keys_in(tx.shard(shard));
  });
  if (!done) return Left::kNothing;  // held by somebody, or full: next turn
  state.pass = pass;
  state.bound_trusted = state.bound_trusted || over;
  keys_expired_ += gone;
  return over ? Left::kNothing : Left::kSome;
}

ExpireTask::Left ExpireTask::free(uint32_t shard) {
  if (process_.segment().shard(shard).lazy_free == 0) return Left::kNothing;
  bool more = false;
  const bool done = transact(shard, Purpose::kFreeLazily,
                             [&](Transaction& tx) { more = keyspace::free_lazily(tx, shard, kFreeBudget); });
  return done && more ? Left::kSome : Left::kNothing;
}

std::chrono::milliseconds ExpireTask::turn() {
  const int64_t end = monotonic_ns() + kTurnNs;
  const uint32_t count = process_.segment().shard_count();
  const uint64_t expired_before = keys_expired_;
  for (uint32_t idle = 0; idle < count && monotonic_ns() < end; next_ = (next_ + 1) % count) {
    Left left = Left::kNothing;
    if (expire(next_) == Left::kSome) left = Left::kSome;
    if (free(next_) == Left::kSome) left = Left::kSome;
    idle = left == Left::kNothing ? idle + 1 : 0;
  }
  if (keys_expired_ > expired_before) log_debug("expired " + std::to_string(keys_expired_ - expired_before) + " keys");
  if (monotonic_ns() >= queues_after_ns_) {
    if (Status status = queues::expire_queues(process_, kLoopLockBudgetNs); !status.ok())
      log_debug("queues: " + describe(status));
    queues_after_ns_ = monotonic_ns() + kQueuesEveryNs;
  }
  return monotonic_ns() < end ? 100ms : 10ms;
}

}  // namespace shoal::daemon
