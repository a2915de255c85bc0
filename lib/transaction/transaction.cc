// SPDX-License-Identifier: MIT
#include "transaction/transaction.h"

#include <algorithm>
#include <bit>
#include <vector>

#include "base/clock.h"
#include "transaction/page_pool.h"

namespace shoal {

namespace {

template <typename F>
void for_each_shard(uint64_t mask, F&& f) noexcept {
  for (; mask != 0; mask &= mask - 1) f(static_cast<uint32_t>(std::countr_zero(mask)));
}

}  // namespace

// Whoever meets a dead holder recovers him and so may run other transactions of this context first: what it announced
// is announced again, and the journal begins where they have left it.
Status Transaction::lock_shards(uint64_t shards, int64_t budget_ns) noexcept {
  const uint32_t operation = self_.operation;
  const uint64_t key_hash = self_.key_hash;
  for (uint64_t left = shards; left != 0; left &= left - 1) {
    const auto index = static_cast<uint32_t>(std::countr_zero(left));
    shm::Shard& shard = segment_.control_shard(index);
    Status status = owner_lock::lock(process_, shard.owner, id_, budget_ns);
    if (status.ok()) {
      locked_ |= uint64_t{1} << index;
      self_.operation = operation;
      self_.key_hash = key_hash;
      if (suspect::deaths(shard) != 0) {
        state_ |= kSuspect;
        status = suspect::admit(shard, self_, reads_, monotonic_ns() / 1'000'000);
      }
    }
    if (!status.ok()) {
      release_all_locks();
      return status;
    }
  }
  named_ = 0;
  if (suspected()) remember_name();
  journal_.rewind();
  return {};
}

void Transaction::survive() noexcept {
  if (!suspected()) return;
  for (uint32_t i = 0; i < named_; ++i) {
    for_each_shard(locked_, [this, i](uint32_t index) {
      suspect::survived(segment_.control_shard(index), names_[i].operation, names_[i].key_hash);
    });
  }
}

void Transaction::remember_name() noexcept {
  bool remembered = false;
  for_each_shard(locked_, [&](uint32_t index) {
    remembered = remembered || suspect::remembers(segment_.shard(index), self_.operation, self_.key_hash);
  });
  if (!remembered) return;
  disown(self_.operation, self_.key_hash);
  if (named_ < std::size(names_)) names_[named_++] = {self_.operation, self_.key_hash};
}

void Transaction::disown(uint32_t operation, uint64_t key_hash) noexcept {
  const auto same = [=](const Name& name) { return name.operation == operation && name.key_hash == key_hash; };
  named_ = static_cast<uint32_t>(std::remove_if(names_, names_ + named_, same) - names_);
}

bool Transaction::refuses(uint32_t operation, uint64_t key_hash) const noexcept {
  bool refused = false;
  for_each_shard(locked_, [&](uint32_t index) {
    refused = refused || suspect::refuses(segment_.shard(index), operation, key_hash);
  });
  return refused;
}

void Transaction::make_all_odd() noexcept {
  for_each_shard(locked_, [this](uint32_t index) { sequence::make_odd(segment_.control_shard(index)); });
}

Status Transaction::commit_slowly() noexcept {
  if (!failed()) carry_out_frees();
  if (failed()) {
    rollback();
    if (shards_wanted_ != 0) return {Code::kBusy, "BUSY more shards are needed"};
    return {Code::kFull, "OOM the segment is full"};
  }
  Journal::empty(self_);
  if (journal_.took_too_much()) journal_.give_back();
  if ((state_ & kGivenUp) != 0) release_given_up();
  if ((state_ & kUndoneClaims) != 0) release_claims(segment_, self_, id_, shm::PageKind::kClaimed);
  survive();
  state_ &= kVisible;
  release_locks();
  return {};
}

void Transaction::rollback() noexcept {
  rollback_to({0, 0});
  if (journal_.took_too_much()) journal_.give_back();
  if ((state_ & kClaimed) != 0) release_claims(segment_, self_, id_, shm::PageKind::kClaimed);
  if ((state_ & kOwesWakes) != 0) self_.wake_debt.store(0, std::memory_order_relaxed);
  state_ &= kVisible;
  release_locks();
}

void Transaction::rollback_to(Savepoint point) noexcept {
  if (point.words != journal_.words()) {  // undo stores to what readers may see
    become_visible();
    for_each_shard(locked_, [this](uint32_t index) { raise_epoch(index); });
  }
  journal_.undo_to(point.words, point.last_free);
  if ((state_ & kClaimed) != 0) state_ |= kUndoneClaims;
}

void Transaction::release_all_locks() noexcept {
  if ((state_ & kVisible) != 0)
    for_each_shard(locked_, [this](uint32_t index) { sequence::make_even(segment_.control_shard(index)); });
  for (uint64_t left = locked_; left != 0;) {
    const uint32_t index = 63 - static_cast<uint32_t>(std::countl_zero(left));
    left &= ~(uint64_t{1} << index);
    owner_lock::unlock(segment_.control_shard(index).owner);
  }
  forget_locks();
}

std::byte* Transaction::scratch(const void* address, uint64_t bytes) noexcept {
  fail_journal();
  thread_local std::vector<std::byte> copy;  // the segment is left alone from here on
  copy.resize(round_up(bytes, 8));
  std::memcpy(copy.data(), address, bytes);
  return copy.data();
}

}  // namespace shoal
