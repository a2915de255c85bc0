// SPDX-License-Identifier: MIT
#include "process/context.h"

#include <pthread.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstring>

#include "process/fifo.h"
#include "process/wake.h"

namespace shoal {

namespace {

constexpr uint32_t kUnknownOffset = 0xffff'ffff;
constexpr uint32_t kSpreadContexts =
    64;  // ids are spread over at least so many contexts, lest one wraps its generation soon

std::atomic<uint32_t> lock_word_offset{kUnknownOffset};

bool write_note(pthread_mutex_t& note) noexcept {
  pthread_mutexattr_t attributes;
  if (::pthread_mutexattr_init(&attributes) != 0) return false;
  bool done = ::pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED) == 0 &&
              ::pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST) == 0;
  if (done) std::memset(static_cast<void*>(&note), 0, sizeof note);
  done = done && ::pthread_mutex_init(&note, &attributes) == 0 && ::pthread_mutex_lock(&note) == 0;
  ::pthread_mutexattr_destroy(&attributes);
  return done;
}

void* die_with_note(void* note) { return write_note(*static_cast<pthread_mutex_t*>(note)) ? note : nullptr; }

// Everything of a former thread that must not reach the next one. Not the epochs and the generation: they never go
// back.
// Not `recoverer`: a slow recoverer of the former id may be about to find out that he is late.
void reset(shm::Context& context) noexcept {
  SHOAL_ASSERT(context.id.load(std::memory_order_relaxed) == 0);
  SHOAL_ASSERT(context.journal_words == 0);
  SHOAL_ASSERT(context.first_chunk == 0);
  end_sleeps(context);
  context.wake_debt.store(0, std::memory_order_relaxed);
  context.operation = 0;
  context.key_hash = 0;
  context.claim_low = context.claim_high = 0;
  context.outbox = 0;
  context.relay.store(0, std::memory_order_relaxed);
}

uint32_t publish(shm::Context& context, uint32_t index) noexcept {
  uint32_t generation = context.next_generation + 1;
  if ((generation & shm::kContextGenerationMask) == 0) ++generation;
  __atomic_store_n(&context.next_generation, generation, __ATOMIC_RELEASE);
  context.alive_offset.store(lock_word_offset.load(std::memory_order_relaxed), std::memory_order_release);
  const uint32_t id = shm::context_id(generation, index);
  context.id.store(id, std::memory_order_release);
  return id;
}

}  // namespace

uint32_t holder_pid(const Segment& segment, uint32_t id) noexcept {
  const shm::Context& context = segment.context(shm::context_index(id));
  const uint64_t claim = context.claim.load(std::memory_order_acquire);
  if (claim == 0 || slot_of_claim(claim) >= segment.slot_count()) return 0;
  const shm::Slot& slot = segment.slot(slot_of_claim(claim));
  const uint32_t pid = slot.pid;
  return context.id.load(std::memory_order_acquire) == id ? pid : 0;
}

Status check_death_notes() noexcept {
  if (lock_word_offset.load() != kUnknownOffset) return {};
  void* page = ::mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return system_error("test the kernel's robust futexes", ENOMEM);
  pthread_t thread;
  void* locked = nullptr;
  const bool ran =
      ::pthread_create(&thread, nullptr, &die_with_note, page) == 0 && ::pthread_join(thread, &locked) == 0;
  uint32_t found = kUnknownOffset;
  for (uint32_t offset = 0; ran && locked != nullptr && offset <= kLockWordOffsetMax; offset += 4) {
    const auto* word = reinterpret_cast<const uint32_t*>(static_cast<const std::byte*>(page) + offset);
    if ((__atomic_load_n(word, __ATOMIC_ACQUIRE) & kFutexOwnerDied) != 0) found = offset;
  }
  ::munmap(page, kPageBytes);
  if (!ran) return {Code::kSystem, "cannot start a thread to test robust futexes"};
  if (found == kUnknownOffset) {
    return {Code::kUnsupported, "this kernel does not mark the robust futexes of a dead thread"};
  }
  lock_word_offset.store(found);
  return {};
}

Result<shm::Context*> claim_context(Segment& segment, uint64_t claim, ContextRange range, uint32_t hint) noexcept {
  shm::Header& header = segment.control_header();
  const uint32_t regular = segment.context_count() - kReservedContextCount;
  const uint32_t first = range == ContextRange::kRegular ? 0 : regular;
  const uint32_t count = range == ContextRange::kRegular ? regular : kReservedContextCount;
  const uint32_t window =
      std::min(count, std::max(header.context_high.load(std::memory_order_relaxed), kSpreadContexts));
  for (uint32_t step = 0; step < count; ++step) {
    const uint32_t index = first + (hint % window + step) % count;
    shm::Context& context = segment.control_context(index);
    uint64_t nobody = context.claim.load(std::memory_order_relaxed);
    if (nobody != 0) continue;
    raise_high(header.context_high, index + 1);  // first, so that whoever reaps us finds the claim
    if (!context.claim.compare_exchange_strong(nobody, claim, std::memory_order_acq_rel)) continue;
    reset(context);
    if (context.loop_asleep.load(std::memory_order_relaxed) != 0) {
      remove_fifo(segment, shm::context_id(context.next_generation, index));
    }
    if (!write_note(context.alive)) {
      context.claim.store(0, std::memory_order_release);
      return Status{Code::kUnsupported, "cannot lock a robust mutex in the segment"};
    }
    publish(context, index);
    return &context;
  }
  return Status{Code::kTooManyThreads, "too many threads use the segment; create it with more contexts than",
                segment.context_count()};
}

void leave_context(Segment& segment, shm::Context& context) noexcept {
  SHOAL_ASSERT(context.journal_words == 0);
  const uint32_t id = context.id.load(std::memory_order_relaxed);
  context.id.store(0, std::memory_order_release);
  if (context.loop_asleep.load(std::memory_order_relaxed) != 0) remove_fifo(segment, id);
  ::pthread_mutex_unlock(&context.alive);
  context.claim.store(0, std::memory_order_release);
}

void retire_context(Segment& segment, shm::Context& context, uint32_t dead_id, uint64_t recoverer_claim) noexcept {
  context.claim.store(recoverer_claim, std::memory_order_release);
  context.id.store(0, std::memory_order_release);
  if (context.loop_asleep.load(std::memory_order_relaxed) != 0) remove_fifo(segment, dead_id);
  context.claim.store(0, std::memory_order_release);
}

// The id first: a claim is there before its id. The other way round the claim may be a dead one's, and the id that of
// who has claimed the context since.
uint32_t id_in_slot(const shm::Context& context, uint32_t slot) noexcept {
  const uint32_t id = context.id.load(std::memory_order_acquire);
  const uint64_t claim = context.claim.load(std::memory_order_acquire);
  return claim != 0 && slot_of_claim(claim) == slot ? id : 0;
}

void free_claim(Segment& segment, shm::Context& context, uint64_t claim, uint64_t reaper_claim) noexcept {
  if (!context.claim.compare_exchange_strong(claim, reaper_claim, std::memory_order_acq_rel)) return;
  if (context.loop_asleep.load(std::memory_order_relaxed) != 0) {
    const uint32_t index = static_cast<uint32_t>(&context - &segment.control_context(0));
    remove_fifo(segment, shm::context_id(context.next_generation, index));
  }
  context.claim.store(0, std::memory_order_release);
}

}  // namespace shoal
