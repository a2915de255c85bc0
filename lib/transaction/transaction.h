// SPDX-License-Identifier: MIT
// transaction.h: the only way to change reachable memory.
//
//   Transaction tx(process, context);
//   if (Status s = tx.begin(shards, budget); !s.ok()) ...   locks, ascending
//   const Entry& entry = tx.view<Entry>(offset);            what is there is const
//   tx.edit(entry.version) = 7;                             journals the field, then gives the one mutable reference
//         to it
//   auto* node = tx.create<Node>(bytes);                    fresh memory: write it freely; nullptr when the segment
//         is full
//   tx.free(offset);                                        carried out at the commit
//   tx.commit();                                            one store makes all of it true; then the locks fall
//
// Rules. Edit fields, not nodes. Handlers run between begin and commit: no system call, no exception, no callback, no
// GIL.
// A block freed in a transaction stays readable and is not handed out again before the commit. When the journal itself
// finds no page, edit() returns a scratch copy and failed() is true: nothing more reaches the segment and commit()
// turns into rollback(); a loop without another bound asks failed().
//
// Sequences: at the first edit of memory that a reader can see, the sequences of all locked shards go odd; allocator
// words and fresh blocks do not count. Commit and rollback make them even again, always onwards.
//
// Dies at any line: see recovery.h. One thread; not reentrant.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "base/bytes.h"
#include "base/status.h"
#include "process/process.h"
#include "transaction/journal.h"
#include "transaction/owner_lock.h"
#include "transaction/sequence.h"
#include "transaction/single_edit.h"
#include "transaction/suspect.h"

namespace shoal {

class Transaction {
 public:
  struct Savepoint {
    uint64_t words, last_free;
  };

  Transaction(Process& process, shm::Context& self, const Purpose& purpose = {}) noexcept
      : segment_(process.segment()),
        process_(process),
        self_(self),
        journal_(segment_, self),
        id_(self.id.load(std::memory_order_relaxed)),
        reads_(purpose.reads) {
    SHOAL_ASSERT(self.journal_words == 0);
    purpose.announce(self);
  }
  // Goes on with a lock that a SingleEdit took.
  Transaction(Process& process, shm::Context& self, const Purpose& purpose, SingleEdit::Held held) noexcept
      : Transaction(process, self, purpose) {
    hold(held.shard);
  }
  ~Transaction() {
    if (__builtin_expect(open(), 0)) rollback();
  }
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  // Locks the shards of the mask. Errors: owner_lock::lock, suspect::admit; nothing is held then.
  Status begin(uint64_t shards, int64_t budget_ns) noexcept {
    SHOAL_ASSERT(!open() && shards != 0);
    const auto first = static_cast<uint32_t>(std::countr_zero(shards));
    if ((shards & (shards - 1)) == 0 && try_begin(first)) return {};
    start_at(first);
    return lock_shards(shards, budget_ns);
  }
  // The same for one shard if its lock is free at this moment and nobody died with it.
  bool try_begin(uint32_t shard) noexcept {
    SHOAL_ASSERT(!open());
    if (!lock_if_free(segment_.control_shard(shard))) return false;
    hold(shard);
    return true;
  }
  // kFull if it had failed: then everything was undone.
  Status commit() noexcept {
    if (__builtin_expect(
            (state_ & ~(kVisible | kOwesWakes)) != 0 || journal_.last_free() != 0 || journal_.took_too_much(), 0))
      return commit_slowly();
    Journal::empty(self_);
    release_locks();
    return {};
  }
  void rollback() noexcept;

  // ---- What a death is laid at (transaction/suspect.h) ----

  // From here on it is this, and no longer what was announced; what was named before is still survived by the commit.
  void name(uint32_t operation, uint64_t key_hash) noexcept {
    self_.operation = operation;
    self_.key_hash = key_hash;
    if (__builtin_expect(suspected(), 0)) remember_name();
  }
  // Somebody died with one of the locks.
  bool suspected() const noexcept { return (state_ & kSuspect) != 0; }
  // Whether one of the shards refuses this. Only where suspected().
  bool refuses(uint32_t operation, uint64_t key_hash) const noexcept;
  // Its commit says nothing of what it named, of what it named behind the first so many, or of this.
  void proves_nothing() noexcept { forget_names(0); }
  uint32_t names() const noexcept { return named_; }
  void forget_names(uint32_t but) noexcept { named_ = std::min(named_, but); }
  void disown(uint32_t operation, uint64_t key_hash) noexcept;

  bool open() const noexcept { return locked_ != 0; }
  bool holds(uint32_t shard) const noexcept { return locked_ >> shard & 1; }
  uint64_t locked() const noexcept { return locked_; }

  Savepoint savepoint() const noexcept { return {journal_.words(), journal_.last_free()}; }
  void rollback_to(Savepoint point) noexcept;

  // It cannot be committed. The segment ran out of pages, for a block or for the journal: undo, grow, run again. Or the
  // body found that it needs shards_wanted(), too: undo, lock them all, run again.
  bool failed() const noexcept { return (state_ & (kJournalFull | kMemoryFull | kTooFewShards)) != 0; }
  uint64_t bytes_wanted() const noexcept { return bytes_wanted_; }
  void want_shards(uint64_t shards) noexcept {
    shards_wanted_ |= shards & ~locked_;
    if (shards_wanted_ != 0) state_ |= kTooFewShards;
  }
  uint64_t shards_wanted() const noexcept { return shards_wanted_; }  // 0 = those that it had were enough

  // The shard whose allocator create() uses and whose lists take foreign blocks; one that is locked.
  void set_home(uint32_t shard) noexcept { home_ = shard; }
  uint32_t home() const noexcept { return home_; }

  Segment& segment() noexcept { return segment_; }
  const Segment& segment() const noexcept { return segment_; }
  Process& process() noexcept { return process_; }
  shm::Context& context() noexcept { return self_; }
  const shm::Shard& shard(uint32_t index) const noexcept { return segment_.shard(index); }

  template <typename T>
  const T& view(uint64_t offset) const noexcept {
    return *segment_.pointer<T>(offset);
  }
  template <typename T>
  const T& view(Offset<T> offset) const noexcept {
    return segment_.at(offset);
  }
  uint64_t offset_of(const void* address) const noexcept { return segment_.offset_of(address); }

  // Journals `field`, which lies in the segment, and returns it mutable.
  template <typename T>
  T& edit(const T& field) noexcept {
    static_assert(ShmSafe<T>);
    if (__builtin_expect((state_ & kVisible) == 0, 0)) become_visible();
    return hidden(field);
  }
  // The same for raw bytes.
  std::byte* edit_bytes(const void* address, uint64_t bytes) noexcept {
    if (__builtin_expect((state_ & kVisible) == 0, 0)) become_visible();
    return edit_hidden(address, bytes);
  }

  // The same for at most kPieceWords whole words, inlined.
  [[gnu::always_inline]] std::byte* edit_words(const void* address, uint64_t words) noexcept {
    if (__builtin_expect((state_ & kVisible) == 0, 1)) become_visible();
    if (__builtin_expect((state_ & kJournalFull) != 0 || !journal_.record_words(address, words), 0))
      return scratch(address, words * 8);
    return static_cast<std::byte*>(const_cast<void*>(address));
  }

  // Fresh memory of at least `bytes`, 8-byte aligned, contents undefined. nullptr when the segment is full.
  template <typename T>
  T* create(uint64_t bytes = sizeof(T)) noexcept {
    return reinterpret_cast<T*>(allocate(bytes));
  }
  // A block that create() gave in this transaction, mutable again.
  std::byte* fresh(uint64_t block) noexcept { return segment_.control_base() + block; }
  // To be freed at the commit.
  void free(uint64_t block) noexcept {
    if (!journal_.record_free(block)) fail_journal();
  }
  // Frees blocks of other shards that wait in this one's lists where they belong, at most so many, as far as those
  // shards are locked or to be had. How many.
  uint32_t bring_foreign_home(uint32_t shard, uint32_t most) noexcept;
  // How many bytes the block can hold.
  uint64_t capacity(uint64_t block) const noexcept;

  // The version that a change in this transaction gives to an entry of the shard (WATCH compares it).
  uint64_t version(uint32_t shard) const noexcept { return sequence::odd(segment_.shard(shard)) + 1; }

  // Before something is freed that is read without the lock and without the sequence. Not journalled.
  void raise_epoch(uint32_t shard) noexcept { sequence::raise_epoch(segment_.control_shard(shard)); }

  // This transaction will have to wake sleepers once it is committed and unlocked: until settle_wakes() a death makes
  // its recoverer ring everybody.
  void owe_wakes() noexcept {
    if (self_.wake_debt.load(std::memory_order_relaxed) != 0) return;  // by one that is committed and rings yet
    state_ |= kOwesWakes;
    self_.wake_debt.store(1, std::memory_order_relaxed);
  }
  void settle_wakes() noexcept { self_.wake_debt.store(0, std::memory_order_release); }

 private:
  enum State : uint32_t {
    kVisible = 1,       // the sequences are odd
    kClaimed = 2,       // pages were claimed: an undo leaves some to be released
    kUndoneClaims = 4,  // ... and one may be ours alone since a rollback_to()
    kGivenUp = 8,       // spans are to be released after the commit
    kJournalFull = 16,  // these three: it cannot be committed
    kMemoryFull = 32,
    kTooFewShards = 64,
    kSuspect = 128,    // somebody died with one of the locks
    kOwesWakes = 256,  // the debt is this transaction's: an undo takes it back
  };

  std::byte* edit_hidden(const void* address,
                         uint64_t bytes) noexcept {  // the allocator's own words: readers do not look
    if (__builtin_expect((state_ & kJournalFull) != 0 || !journal_.record(address, bytes), 0))
      return scratch(address, bytes);
    return static_cast<std::byte*>(const_cast<void*>(address));
  }
  template <typename T>
  T& hidden(const T& field) noexcept {
    if constexpr (sizeof(T) > sizeof(uint64_t) || alignof(T) != sizeof(T)) {  // it may lie in several words
      return *reinterpret_cast<T*>(edit_hidden(&field, sizeof(T)));
    } else {
      if (__builtin_expect((state_ & kJournalFull) != 0 || !journal_.record_word(&field), 0))
        return *reinterpret_cast<T*>(scratch(&field, sizeof(T)));
      return const_cast<T&>(field);
    }
  }
  void become_visible() noexcept {
    state_ |= kVisible;
    if (__builtin_expect(alone_ != nullptr, 1)) {
      sequence::make_odd(*alone_);
    } else {
      make_all_odd();
    }
    std::atomic_thread_fence(std::memory_order_release);
  }
  void make_all_odd() noexcept;
  void fail_journal() noexcept { state_ |= kJournalFull; }
  std::byte* scratch(const void* address, uint64_t bytes) noexcept;
  void start_at(uint32_t home) noexcept {
    journal_.rewind();
    shards_wanted_ = 0;
    home_ = home;
  }
  bool lock_if_free(shm::Shard& shard) noexcept {
    if (!owner_lock::try_lock(shard.owner, id_)) return false;
    if (__builtin_expect(suspect::deaths(shard) == 0, 1)) return true;
    owner_lock::unlock(shard.owner);
    return false;
  }
  void hold(uint32_t shard) noexcept {
    start_at(shard);
    locked_ = uint64_t{1} << shard;
    alone_ = &segment_.control_shard(shard);
  }
  Status lock_shards(uint64_t shards, int64_t budget_ns) noexcept;
  Status commit_slowly() noexcept;
  void release_locks() noexcept {
    if (__builtin_expect(alone_ == nullptr, 0)) return release_all_locks();
    if ((state_ & kVisible) != 0) sequence::make_even(*alone_);
    owner_lock::unlock(alone_->owner);
    forget_locks();
  }
  void forget_locks() noexcept {
    locked_ = 0;
    alone_ = nullptr;
    state_ &= ~(kVisible | kSuspect | kOwesWakes);
  }
  void survive() noexcept;
  void remember_name() noexcept;
  void release_all_locks() noexcept;

  // allocator.cc
  std::byte* allocate(uint64_t bytes) noexcept;
  std::byte* allocate_span(uint64_t bytes) noexcept;
  std::byte* take_block(uint32_t page, uint32_t size_class) noexcept;
  uint32_t open_page(uint32_t size_class) noexcept;
  void carry_out_frees() noexcept;
  void free_now(uint64_t block) noexcept;
  bool hold_too(uint32_t shard) noexcept;
  void free_at_home(uint64_t block, uint32_t page, uint32_t owner) noexcept;
  uint32_t bring_home(uint32_t size_class, uint32_t most) noexcept;
  void link_page(uint32_t page, uint32_t size_class) noexcept;
  void unlink_page(uint32_t page, uint32_t size_class) noexcept;
  void give_up_span(uint32_t page) noexcept;
  void release_given_up() noexcept;

  Segment& segment_;
  Process& process_;
  shm::Context& self_;
  Journal journal_;
  uint64_t locked_ = 0;          // mask of the shards held
  shm::Shard* alone_ = nullptr;  // the shard, if begin() found the lock of the only one free
  uint64_t bytes_wanted_ = 0, shards_wanted_ = 0;
  uint32_t id_;
  uint32_t home_ = 0;
  uint32_t given_up_ = 0;  // of kGivenUp: the first of the spans, linked by Page::next
  uint32_t state_ = 0;     // of State
  bool reads_;             // Purpose::reads
  struct Name {
    uint32_t operation;
    uint64_t key_hash;
  };
  uint32_t named_ = 0;  // how many of names_ there are; where suspected() only
  Name names_[16];      // those that are suspects; one more is not survived, and forgotten by and by
};

}  // namespace shoal
