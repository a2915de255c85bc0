// SPDX-License-Identifier: MIT
#include "transaction/suspect.h"

#include <atomic>

namespace shoal::suspect {

namespace {

bool is_suspect(const shm::Shard& shard, const shm::Context& context) noexcept {
  return shard.suspect_operation == context.operation && shard.suspect_key_hash == context.key_hash;
}

}  // namespace

Status admit(const Segment& segment, uint32_t shard, const shm::Context& self, bool reads) noexcept {
  const shm::Shard& where = segment.shard(shard);
  if (!convicted(where)) return {};
  if (!is_suspect(where, self) && (reads || !read_only(where))) return {};
  return {
      Code::kRedisError,
      "READONLY one operation killed three processes and is refused, and so is all that writes to the same part of the "
      "keys; `shoal check` says which, `shoal repair` helps"};
}

void survived(shm::Shard& shard, const shm::Context& self) noexcept {
  if (!convicted(shard) && is_suspect(shard, self)) forget(shard);
}

void note_death(shm::Shard& shard, const shm::Context& dead, uint32_t dead_id) noexcept {
  if (shard.last_dead == dead_id || convicted(shard)) return;
  if (dead.operation == Purpose::kUnknown || dead.operation == Purpose::kCheck) return;
  if (!is_suspect(shard, dead)) {
    forget(shard);
    shard.suspect_operation = dead.operation;
    shard.suspect_key_hash = dead.key_hash;
  }
  shard.last_dead = dead_id;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  shard.deaths.store(deaths(shard) + 1, std::memory_order_relaxed);
}

void forget(shm::Shard& shard) noexcept {
  shard.deaths.store(0, std::memory_order_relaxed);
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

}  // namespace shoal::suspect
