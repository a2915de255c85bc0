// SPDX-License-Identifier: MIT
#include "transaction/suspect.h"

#include <algorithm>
#include <atomic>

namespace shoal::suspect {

namespace {

using shm::Suspect;

bool is(const Suspect& suspect, uint32_t operation, uint64_t key_hash) noexcept {
  return suspect.key_hash == key_hash && (key_hash != 0 || suspect.operation == operation);
}

// Who survives this clears the suspect.
bool died_last_in(const Suspect& suspect, uint32_t operation, uint64_t key_hash) noexcept {
  const bool counts = suspect.deaths != 0 && !convicted(suspect);
  return counts && suspect.operation == operation && suspect.key_hash == key_hash;
}

bool is_long_ago(const Suspect& suspect, int64_t now_ms) noexcept {
  return !convicted(suspect) && now_ms - suspect.last_death_ms > kForgottenMs;
}

void sum_up(shm::Shard& shard) noexcept {
  std::atomic_signal_fence(std::memory_order_seq_cst);
  uint32_t most = 0;
  for (const Suspect& suspect : shard.suspects) most = std::max(most, suspect.deaths);
  shard.deaths.store(most, std::memory_order_relaxed);
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

// The suspect that this context has died in, or its place, which is free then; nullptr: all are convicted.
Suspect* place_of(shm::Shard& shard, const shm::Context& dead) noexcept {
  Suspect* place = nullptr;
  for (Suspect& each : shard.suspects) {
    if (each.deaths != 0 && is(each, dead.operation, dead.key_hash)) return &each;
    if (convicted(each)) continue;
    const auto worth = [](const Suspect& suspect) { return suspect.deaths == 0 ? INT64_MIN : suspect.last_death_ms; };
    if (place == nullptr || worth(each) < worth(*place)) place = &each;
  }
  if (place != nullptr) place->deaths = 0;
  std::atomic_signal_fence(std::memory_order_seq_cst);  // before it is somebody else's
  return place;
}

}  // namespace

bool read_only(const shm::Shard& shard) noexcept {
  return convicted(shard) && std::any_of(std::begin(shard.suspects), std::end(shard.suspects),
                                         [](const Suspect& each) { return convicted(each) && each.key_hash != 0; });
}

bool remembers(const shm::Shard& shard, uint32_t operation, uint64_t key_hash) noexcept {
  return std::any_of(std::begin(shard.suspects), std::end(shard.suspects),
                     [=](const Suspect& each) { return died_last_in(each, operation, key_hash); });
}

bool refuses(const shm::Shard& shard, uint32_t operation, uint64_t key_hash) noexcept {
  return std::any_of(std::begin(shard.suspects), std::end(shard.suspects),
                     [=](const Suspect& each) { return convicted(each) && is(each, operation, key_hash); });
}

Status admit(shm::Shard& shard, const shm::Context& self, bool reads, int64_t now_ms) noexcept {
  bool refused = false;
  for (Suspect& each : shard.suspects) {
    if (is_long_ago(each, now_ms)) each.deaths = 0;
    refused |= convicted(each) && (is(each, self.operation, self.key_hash) || (each.key_hash != 0 && !reads));
  }
  sum_up(shard);
  return refused ? Status{Code::kRedisError, kRefused} : Status{};
}

void survived(shm::Shard& shard, uint32_t operation, uint64_t key_hash) noexcept {
  for (Suspect& each : shard.suspects) {
    if (died_last_in(each, operation, key_hash)) each.deaths = 0;
  }
  sum_up(shard);
}

void note_death(shm::Shard& shard, const shm::Context& dead, uint32_t dead_id, int64_t now_ms) noexcept {
  if (shard.last_dead == dead_id) return sum_up(shard);  // whoever noted it may have died before
  if (dead.operation == Purpose::kUnknown || dead.operation == Purpose::kCheck) return;
  Suspect* suspect = place_of(shard, dead);
  if (suspect == nullptr || convicted(*suspect)) return;
  if (is_long_ago(*suspect, now_ms)) suspect->deaths = 0;
  suspect->key_hash = dead.key_hash;
  suspect->operation = dead.operation;
  suspect->last_death_ms = now_ms;
  shard.last_dead = dead_id;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  ++suspect->deaths;
  sum_up(shard);
}

void forget(shm::Shard& shard) noexcept {
  for (Suspect& each : shard.suspects) each.deaths = 0;
  sum_up(shard);
}

}  // namespace shoal::suspect
