// SPDX-License-Identifier: MIT
#include "transaction/suspect.h"

#include <atomic>

namespace shoal::suspect {

namespace {

bool is_suspect(const shm::Shard& shard, const shm::Context& context) noexcept {
  return shard.suspect_operation == context.operation && shard.suspect_key_hash == context.key_hash;
}

bool is_long_ago(const shm::Shard& shard, int64_t now_ms) noexcept {
  return now_ms - shard.last_death_ms > kForgottenMs;
}

}  // namespace

Status admit(shm::Shard& shard, const shm::Context& self, bool reads, int64_t now_ms) noexcept {
  if (!convicted(shard)) {
    if (is_long_ago(shard, now_ms)) forget(shard);
    return {};
  }
  if (!is_suspect(shard, self) && (reads || !read_only(shard))) return {};
  return {
      Code::kRedisError,
      "READONLY one operation killed three processes and is refused, and so is all that writes to the same part of the "
      "keys; `shoal check` says which, `shoal repair` helps"};
}

void survived(shm::Shard& shard, const shm::Context& self) noexcept {
  if (!convicted(shard) && is_suspect(shard, self)) forget(shard);
}

void note_death(shm::Shard& shard, const shm::Context& dead, uint32_t dead_id, int64_t now_ms) noexcept {
  if (shard.last_dead == dead_id || convicted(shard)) return;
  if (dead.operation == Purpose::kUnknown || dead.operation == Purpose::kCheck) return;
  if (!is_suspect(shard, dead) || is_long_ago(shard, now_ms)) {
    forget(shard);
    shard.suspect_operation = dead.operation;
    shard.suspect_key_hash = dead.key_hash;
  }
  shard.last_death_ms = now_ms;
  shard.last_dead = dead_id;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  shard.deaths.store(deaths(shard) + 1, std::memory_order_relaxed);
}

void forget(shm::Shard& shard) noexcept {
  shard.deaths.store(0, std::memory_order_relaxed);
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

}  // namespace shoal::suspect
