// SPDX-License-Identifier: MIT
// sorted_set_result.h: a sorted set that a command builds (ZUNION, ZRANGESTORE): under a root of its own in the
// segment, since the
// target may be one of the sources. It moves into its entry at the end, or is undone after it was answered.
#pragma once

#include "commands/family.h"
#include "types/sorted_set.h"

namespace shoal {

class SortedSetResult {
 public:
  explicit SortedSetResult(Call& call) noexcept : call_(call), before_(call.tx().savepoint()) {
    root_ = call.tx().create<shm::SortedSetRoot>();
    if (root_ != nullptr) std::memset(static_cast<void*>(root_), 0, sizeof *root_);
  }
  bool good() const noexcept { return root_ != nullptr && !call_.tx().failed(); }
  const shm::SortedSetRoot& root() const noexcept { return *root_; }

  // Replaces what the key holds, and answers how many elements there are.
  void store(const Key& target) noexcept {
    if (!good()) return;
    Transaction& tx = call_.tx();
    if (const shm::Entry* old = call_.write(target); old != nullptr) call_.remove(target, *old);
    const uint64_t count = sorted_set::count(*root_);
    if (count > 0) {
      const Found<shm::SortedSetRoot> stored = call_.create<shm::SortedSetRoot>(target);
      if (stored.entry == nullptr) return;
      std::memcpy(keyspace::fresh_value(tx, *stored.entry), static_cast<const void*>(root_), sizeof *root_);
      call_.changed(target, *stored.entry);
      call_.ready(target);
    }
    tx.free(tx.offset_of(root_));
    call_.reply().integer(static_cast<int64_t>(count));
  }
  // After it was answered: nothing of it stays.
  void forget() noexcept {
    if (good()) call_.tx().rollback_to(before_);
  }

 private:
  Call& call_;
  Transaction::Savepoint before_;
  shm::SortedSetRoot* root_;
};

// Answers one element; pairs are nested in RESP3.
inline void reply_element(Call& call, const sorted_set::Node& node, bool with_score) noexcept {
  if (with_score && call.resp3()) call.reply().array(2);
  call.reply().bulk(node.member());
  if (with_score) call.reply().number(node.score);
}
inline void reply_element_count(Call& call, uint64_t count, bool with_scores) noexcept {
  call.reply().array(static_cast<uint32_t>(with_scores && !call.resp3() ? 2 * count : count));
}

}  // namespace shoal
