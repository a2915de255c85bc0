// SPDX-License-Identifier: MIT
#include "keyspace/make_room.h"

#include <bit>

#include "keyspace/keyspace.h"
#include "transaction/page_pool.h"
#include "transaction/transaction.h"

namespace shoal::keyspace {

namespace {

// A shard whose block waits in a list of this one, as it looks without the lock; the shard itself if there is none.
uint32_t owner_of_foreign_blocks(const Segment& segment, uint32_t shard) noexcept {
  for (const uint64_t block : segment.shard(shard).foreign_free) {
    if (block == 0 || !segment.contains(block, 8)) continue;
    const uint64_t owner = segment.page(span_of(segment, block)).owner.load(std::memory_order_relaxed);
    return static_cast<uint32_t>(owner) % segment.shard_count();
  }
  return shard;
}

// Blocks of values that were moved from one shard to another and freed there while the first was locked.
bool bring_blocks_home(Process& process, int64_t budget_ns) noexcept {
  constexpr uint32_t kBlocks = 16;
  const Segment& segment = process.segment();
  for (uint32_t shard = 0; shard < segment.shard_count(); ++shard) {
    const uint32_t owner = owner_of_foreign_blocks(segment, shard);
    if (owner == shard) continue;
    auto context = process.context();
    if (!context.ok()) return false;
    Transaction tx(process, *context.value(), {Purpose::kBringBlocksHome});
    if (!tx.begin(uint64_t{1} << shard | uint64_t{1} << owner, budget_ns).ok()) continue;
    const uint32_t brought = tx.bring_foreign_home(shard, kBlocks);
    if (tx.commit().ok() && brought > 0) return true;
  }
  return false;
}

}  // namespace

bool make_room(Process& process, uint64_t shards, int64_t budget_ns) noexcept {
  constexpr uint32_t kSteps = 64, kBlocks = 2;
  const Segment& segment = process.segment();
  const auto first = static_cast<uint32_t>(std::countr_zero(shards));
  for (uint32_t i = 0; i < segment.shard_count(); ++i) {
    const uint32_t shard = (first + i) % segment.shard_count();
    bool freed = false;
    for (uint32_t step = 0; step < kSteps && has_lazy_frees(segment.shard(shard)); ++step) {
      auto context = process.context();
      if (!context.ok()) return false;
      Transaction tx(process, *context.value(), {Purpose::kFreeLazily});
      if (!tx.begin(uint64_t{1} << shard, budget_ns).ok()) break;
      free_lazily(tx, shard, kBlocks);
      if (!tx.commit().ok()) break;
      freed = true;
    }
    if (freed) return true;
  }
  return bring_blocks_home(process, budget_ns);
}

Status MoreRoom::find(Process& process, uint64_t shards, uint64_t wanted, int64_t budget_ns) noexcept {
  const Status grown = process.segment().grow(wanted);
  if (grown.code() != Code::kFull || last_try_) return grown;
  last_try_ = !make_room(process, shards, budget_ns);
  return {};
}

}  // namespace shoal::keyspace
