// SPDX-License-Identifier: MIT
#include "transaction/recovery.h"

#include <climits>

#include "base/clock.h"
#include "process/context.h"
#include "process/relay.h"
#include "process/wake.h"
#include "transaction/journal.h"
#include "transaction/owner_lock.h"
#include "transaction/page_pool.h"
#include "transaction/sequence.h"
#include "transaction/suspect.h"

namespace shoal {

namespace {

PublishOutbox publish_outbox = nullptr;

// process/ lies below: this is how it reaches us.
[[maybe_unused]] const bool installed = [] {
  Process::set_recover([](Process& process, uint32_t self, uint32_t dead_id, bool slot_is_dead) {
    recover(process, self, dead_id, slot_is_dead);
  });
  Process::set_release(&Journal::release_chunks);
  return true;
}();

// True if `self` now is D's recoverer.
bool claim_recovery(Segment& segment, shm::Context& dead_context, uint32_t self) noexcept {
  uint32_t recoverer = dead_context.recoverer.load(std::memory_order_acquire);
  if (recoverer != 0 && recoverer != self && !dead(segment, recoverer)) return false;
  return recoverer == self ||
         dead_context.recoverer.compare_exchange_strong(recoverer, self, std::memory_order_acq_rel);
}

template <typename F>
void for_each_held_shard(Segment& segment, uint32_t id, F&& f) noexcept {
  for (uint32_t index = 0; index < segment.shard_count(); ++index) {
    shm::Shard& shard = segment.control_shard(index);
    if ((shard.owner.load(std::memory_order_acquire) & ~shm::kWaitersBit) == id) f(shard);
  }
}

void undo_and_unlock(Segment& segment, shm::Context& context, uint32_t id) noexcept {
  for_each_held_shard(segment, id, [](shm::Shard& shard) {
    const uint64_t sequence = shard.sequence.load(std::memory_order_relaxed);
    if (sequence % 2 == 0) shard.sequence.store(sequence + 1, std::memory_order_relaxed);
    sequence::raise_epoch(shard);
  });
  std::atomic_thread_fence(std::memory_order_seq_cst);
  Journal::undo(segment, context, 0);
  std::atomic_signal_fence(std::memory_order_seq_cst);
  context.journal_words = 0;
  std::atomic_thread_fence(std::memory_order_seq_cst);
  for_each_held_shard(segment, id, [&](shm::Shard& shard) {
    suspect::note_death(shard, context, id, monotonic_ns() / 1'000'000);
    shard.sequence.store((shard.sequence.load(std::memory_order_relaxed) | 1) + 1, std::memory_order_release);
    shard.owner.store(0, std::memory_order_release);
    owner_lock::wake_waiters(shard.owner, INT_MAX);
  });
}

void count_recovery(Segment& segment, int64_t took_ns) noexcept {
  shm::Header& header = segment.control_header();
  header.recoveries.fetch_add(1, std::memory_order_relaxed);
  raise_high(header.longest_recovery_ns, static_cast<uint64_t>(took_ns));
}

bool finish_outbox(Process& process, uint32_t self, shm::Context& context) noexcept {
  if (context.outbox == 0 || publish_outbox == nullptr) return true;
  return publish_outbox(process, self, context);
}

}  // namespace

void set_publish_outbox(PublishOutbox publish) noexcept { publish_outbox = publish; }

bool recover(Process& process, uint32_t self, uint32_t dead_id, bool slot_is_dead) noexcept {
  Segment& segment = process.segment();
  shm::Context& context = segment.control_context(shm::context_index(dead_id));
  if (!claim_recovery(segment, context, self)) return false;
  const int64_t begun_ns = monotonic_ns();
  if (context.id.load(std::memory_order_acquire) == dead_id && (slot_is_dead || dead(segment, dead_id))) {
    undo_and_unlock(segment, context, dead_id);
    context.first_chunk = 0;
    release_claims(segment, context, dead_id, shm::PageKind::kClaimed);
    release_claims(segment, context, dead_id, shm::PageKind::kJournal);
    const bool published = finish_outbox(process, self, context);
    end_sleeps(context);  // before the look at what it was to pass on
    if (context.wake_debt.load(std::memory_order_acquire) != 0 || relay::owed(context)) wake_everybody(process);
    context.wake_debt.store(0, std::memory_order_relaxed);
    context.relay.store(0, std::memory_order_relaxed);
    if (published) {
      context.outbox = 0;
      process.retire(context, dead_id);
    }
    count_recovery(segment, monotonic_ns() - begun_ns);
  }
  context.recoverer.store(0, std::memory_order_release);
  return true;
}

uint32_t recover_all(Process& process, uint32_t self) noexcept {
  Segment& segment = process.segment();
  uint32_t recovered = 0;
  const uint32_t high = segment.context_high();
  for (uint32_t index = 0; index < high; ++index) {
    const uint32_t id = segment.context(index).id.load(std::memory_order_acquire);
    if (id == 0 || id == self || !dead(segment, id)) continue;
    if (recover(process, self, id)) ++recovered;
  }
  return recovered;
}

}  // namespace shoal
