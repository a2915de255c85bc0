// SPDX-License-Identifier: MIT
#include "transaction/transaction.h"

#include <bit>
#include <vector>

#include "transaction/page_pool.h"

namespace shoal {

namespace {

template <typename F>
void for_each_shard(uint64_t mask, F&& f) noexcept {
  for (; mask != 0; mask &= mask - 1) f(static_cast<uint32_t>(std::countr_zero(mask)));
}

}  // namespace

Transaction::Transaction(Process& process, shm::Context& self) noexcept
    : segment_(process.segment()),
      process_(process),
      self_(self),
      journal_(segment_, self),
      id_(self.id.load(std::memory_order_relaxed)) {
  SHOAL_ASSERT(self.journal_words == 0);
}

Transaction::~Transaction() {
  if (open()) rollback();
}

Status Transaction::begin(uint64_t shards, int64_t budget_ns) noexcept {
  SHOAL_ASSERT(!open() && shards != 0);
  shards_wanted_ = 0;
  home_ = static_cast<uint32_t>(std::countr_zero(shards));
  for (uint64_t left = shards; left != 0; left &= left - 1) {
    const auto index = static_cast<uint32_t>(std::countr_zero(left));
    Status status = owner_lock::lock(process_, segment_.control_shard(index).owner, id_, budget_ns);
    if (!status.ok()) {
      release_locks();
      return status;
    }
    locked_ |= uint64_t{1} << index;
  }
  return {};
}

void Transaction::become_visible() noexcept {
  visible_ = true;
  for_each_shard(locked_, [this](uint32_t index) {
    auto& sequence = segment_.control_shard(index).sequence;
    sequence.store(sequence.load(std::memory_order_relaxed) | 1, std::memory_order_relaxed);
  });
  std::atomic_thread_fence(std::memory_order_release);
}

Status Transaction::commit() noexcept {
  if (!failed()) carry_out_frees();
  if (failed()) {
    rollback();
    if (shards_wanted_ != 0) return {Code::kBusy, "BUSY more shards are needed"};
    return {Code::kFull, "OOM the segment is full"};
  }
  std::atomic_signal_fence(std::memory_order_seq_cst);
  self_.journal_words = 0;  // the commit
  std::atomic_signal_fence(std::memory_order_seq_cst);
  journal_.rewind();
  if (given_up_ != 0) release_given_up();
  if (undone_claims_) release_claims(segment_, self_, id_, shm::PageKind::kClaimed);
  claimed_ = undone_claims_ = false;
  release_locks();
  return {};
}

void Transaction::rollback() noexcept {
  rollback_to({0, 0});
  if (claimed_) release_claims(segment_, self_, id_, shm::PageKind::kClaimed);
  claimed_ = undone_claims_ = journal_full_ = memory_full_ = too_few_shards_ = false;
  given_up_ = 0;
  self_.wake_debt.store(0, std::memory_order_relaxed);
  release_locks();
}

void Transaction::rollback_to(Savepoint point) noexcept {
  if (point.words != journal_.words()) become_visible();  // undo stores to what readers may see
  journal_.undo_to(point.words, point.last_free);
  undone_claims_ = claimed_;
}

void Transaction::release_locks() noexcept {
  if (visible_) {
    for_each_shard(locked_, [this](uint32_t index) {
      auto& sequence = segment_.control_shard(index).sequence;
      sequence.store(sequence.load(std::memory_order_relaxed) + 1, std::memory_order_release);
    });
    visible_ = false;
  }
  for (uint64_t left = locked_; left != 0;) {
    const uint32_t index = 63 - static_cast<uint32_t>(std::countl_zero(left));
    left &= ~(uint64_t{1} << index);
    owner_lock::unlock(segment_.control_shard(index).owner);
  }
  locked_ = 0;
}

std::byte* Transaction::scratch(const void* address, uint64_t bytes) noexcept {
  fail_journal();
  thread_local std::vector<std::byte> copy;  // the segment is left alone from here on
  copy.resize(round_up(bytes, 8));
  std::memcpy(copy.data(), address, bytes);
  return copy.data();
}

}  // namespace shoal
