// SPDX-License-Identifier: MIT
// single_edit.h: the smallest transaction: the lock of one shard, if it is free at this moment, and at most one edit of
// whole words.
//
//   SingleEdit edit(segment, self, purpose, shard);
//   if (!edit.locked()) ...                              nothing has happened; also where somebody died
//   std::byte* place = edit.edit_words(&entry, count);   journals them and gives them mutable; nullptr: there is no
//         room in the journal, nothing has happened
//   edit.commit();
//
// What it has in common with a Transaction has the same names, for templates; the shard can only be its own.
// Recovery sees no difference between the two. But a Transaction lies in memory, for functions that are not inlined
// work on it; this lives in registers, which makes an overwriting SET as short as it must be (set_at_once.h).
// An edit must be committed; without one the lock falls at the end, or goes to a Transaction by release().
// Dies at any line: see recovery.h. One thread; no other transaction of it may be open.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/status.h"
#include "segment/segment.h"
#include "transaction/journal.h"
#include "transaction/owner_lock.h"
#include "transaction/sequence.h"
#include "transaction/suspect.h"

namespace shoal {

class SingleEdit {
 public:
  struct Held {
    uint32_t shard;
  };

  SingleEdit(Segment& segment, shm::Context& self, const Purpose& purpose, uint32_t shard) noexcept
      : segment_(segment), self_(self), index_(shard) {
    SHOAL_ASSERT(self.journal_words == 0);
    purpose.announce(self);
    shm::Shard& wanted = segment.control_shard(shard);
    if (!owner_lock::try_lock(wanted.owner, self.id.load(std::memory_order_relaxed))) return;
    shard_ = &wanted;
    if (__builtin_expect(suspect::deaths(wanted) == 0, 1)) return;
    owner_lock::unlock(wanted.owner);
    shard_ = nullptr;
  }
  ~SingleEdit() {
    SHOAL_ASSERT(odd_ == 0);
    if (locked()) owner_lock::unlock(shard_->owner);
  }
  SingleEdit(const SingleEdit&) = delete;
  SingleEdit& operator=(const SingleEdit&) = delete;

  bool locked() const noexcept { return shard_ != nullptr; }
  const Segment& segment() const noexcept { return segment_; }
  const shm::Shard& shard(uint32_t) const noexcept { return *shard_; }

  // At most Journal::kPieceWords.
  [[gnu::always_inline]] std::byte* edit_words(const void* address, uint64_t words) noexcept {
    SHOAL_ASSERT(locked() && odd_ == 0);
    // The record comes before the sequence is odd, other than in a Transaction: it may be refused. Undoing it would
    // write what is there.
    if (__builtin_expect(!Journal::record_first(segment_, self_, address, words), 0)) return nullptr;
    odd_ = sequence::odd(*shard_);
    shard_->sequence.store(odd_, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_release);
    return static_cast<std::byte*>(const_cast<void*>(address));
  }
  // The version that the edit gives to an entry of the shard.
  uint64_t version(uint32_t) const noexcept { return odd_ + 1; }

  void commit() noexcept {
    Journal::empty(self_);
    shard_->sequence.store(odd_ + 1, std::memory_order_release);
    odd_ = 0;
    owner_lock::unlock(shard_->owner);
    shard_ = nullptr;
  }
  // The lock is the caller's: for Transaction(process, self, held).
  Held release() noexcept {
    SHOAL_ASSERT(odd_ == 0);
    shard_ = nullptr;
    return {index_};
  }

 private:
  Segment& segment_;
  shm::Context& self_;
  uint32_t index_;
  shm::Shard* shard_ = nullptr;  // held
  uint64_t odd_ = 0;             // the sequence while there is an edit
};

}  // namespace shoal
