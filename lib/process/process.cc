// SPDX-License-Identifier: MIT
#include "process/process.h"

#include <pthread.h>

#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "process/daemon_link.h"
#include "process/slot.h"

namespace shoal {

namespace detail {
constinit thread_local ThreadCache thread_cache{};
}

namespace {

std::atomic<Process::Recover> recover_hook{nullptr};
std::atomic<Process::Release> release_hook{nullptr};
std::atomic<Process::Reap> reap_hook{nullptr};
std::atomic<uint64_t> last_serial{0};
ForkLock self_test;

Status check_kernel() noexcept {
  if (!fork_guard_supported()) return {Code::kUnsupported, "this kernel cannot wipe a page on fork (MADV_WIPEONFORK)"};
  self_test.lock();
  const Status status = check_death_notes();
  self_test.unlock();
  return status;
}

}  // namespace

// ---- Membership -----------------------------------------------------------------------------------------------------

// Held by the Process and by each thread that has a context in it: the segment is not unmapped and the life byte not
// given up before the last of them is gone.
struct Process::Membership {
  std::shared_ptr<Segment> segment;
  SlotClaim slot;
  uint64_t nonce = fork_nonce();
  Membership* previous = nullptr;
  std::atomic<uint32_t> holders{1};
  std::atomic<bool> leaving{false};
  std::atomic<bool> kept{false};
  Membership* next_kept = nullptr;

  bool in_this_process() const noexcept { return nonce == fork_nonce(); }
  uint64_t claim() const noexcept { return claim_word(slot.index, slot.generation); }
  bool valid() const noexcept {
    if (!in_this_process()) return false;
    if (segment->slot(slot.index).generation.load(std::memory_order_acquire) != slot.generation) return false;
    return leaving.load(std::memory_order_relaxed) || slot_state(*segment, slot.index) == shm::SlotState::kUsed;
  }
  void hold() noexcept { holders.fetch_add(1, std::memory_order_relaxed); }
  // The hold of a thread that ends without leaving: for ever, and known to those who look for leaks.
  void keep() noexcept {
    static constinit std::atomic<Membership*> first_kept{nullptr};
    if (kept.exchange(true)) return;
    next_kept = first_kept.load();
    while (!first_kept.compare_exchange_weak(next_kept, this)) {
    }
  }
  // In a forked child the count is the parent's and means nothing: what the child inherited stays as it is.
  void release() noexcept {
    if (in_this_process() && holders.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }
};

Process::Process(std::shared_ptr<Segment> segment, shm::SlotRole role)
    : segment_(std::move(segment)),
      role_(role),
      serial_(last_serial.fetch_add(1) + 1),
      fifos_(segment_->context_count()) {}

Result<std::unique_ptr<Process>> Process::attach(std::shared_ptr<Segment> segment, shm::SlotRole role) {
  if (Status status = check_kernel(); !status.ok()) return status;
  std::unique_ptr<Process> process(new Process(std::move(segment), role));
  if (Result<Membership*> joined = process->membership(); !joined.ok()) return joined.status();
  return process;
}

Result<Process::Membership*> Process::membership() {
  Membership* known = membership_.load(std::memory_order_acquire);
  if (known != nullptr && known->valid()) return known;
  join_lock_.lock();
  known = membership_.load(std::memory_order_acquire);
  Result<Membership*> result =
      known != nullptr && known->valid() ? Result<Membership*>(known) : join(SlotRange::kRegular);
  join_lock_.unlock();
  if (!result.ok() && result.status().code() == Code::kTooManyProcesses) return join_by_reaping();
  return result;
}

// Under join_lock_.
Result<Process::Membership*> Process::join(SlotRange range) {
  Result<SlotClaim> slot = take_slot(*segment_, role_, range);
  if (!slot.ok()) return slot.status();
  auto member = new Membership;
  member->segment = segment_;
  member->slot = std::move(slot).value();
  member->previous = membership_.load(std::memory_order_relaxed);
  membership_.store(member, std::memory_order_release);
  return member;
}

// All slots are taken, perhaps by the dead. Only a published context recovers: we live in the reserved slot while we
// reap.
Result<Process::Membership*> Process::join_by_reaping() {
  const Status full{Code::kTooManyProcesses, "too many processes use the segment; create it with more slots than",
                    segment_->slot_count()};
  if (reap_hook.load() == nullptr || dead_slots().empty()) return full;
  join_lock_.lock();
  Result<Membership*> guest = join(SlotRange::kReserved);
  join_lock_.unlock();
  if (!guest.ok()) return full;
  reap_dead_slots();
  release_context();
  join_lock_.lock();
  Result<Membership*> result = join(SlotRange::kRegular);
  join_lock_.unlock();
  Membership& reserved = *guest.value();  // stays in the list of memberships, for a thread that has just looked it up
  join_lock_.lock();
  if (reserved.holders.load(std::memory_order_acquire) == 1) {
    set_slot_state(*segment_, reserved.slot.index, shm::SlotState::kFree);
    reserved.slot.life.drop();
  }
  join_lock_.unlock();
  return result;
}

// For a claim in its name: what was looked up may have been the reserved slot, which is given back when nobody holds
// it.
Result<Process::Membership*> Process::hold_membership() {
  for (;;) {
    Result<Membership*> member = membership();
    if (!member.ok()) return member;
    join_lock_.lock();
    const bool current = member.value()->valid();
    if (current) member.value()->hold();
    join_lock_.unlock();
    if (current) return member;
  }
}

uint32_t Process::slot_index() noexcept {
  Result<Membership*> member = membership();
  return member.ok() ? member.value()->slot.index : kNoSlot;
}

uint64_t Process::slot_generation() noexcept {
  Result<Membership*> member = membership();
  return member.ok() ? member.value()->slot.generation : 0;
}

Process::~Process() {
  Membership* member = membership_.load(std::memory_order_acquire);
  if (member != nullptr && member->valid()) leave();
  release_context();
  while (member != nullptr) {
    Membership* previous = member->previous;
    member->release();
    member = previous;
  }
}

// If threads other than this one still have contexts, or something could not be given back, the slot is not free: it is
// dead when the last of them exits.
void Process::leave() noexcept {
  Membership& member = *membership_.load(std::memory_order_acquire);
  const Reap reap = reap_hook.load();
  bool all_given_back = true;
  if (reap != nullptr && context().ok() && member.holders.load(std::memory_order_acquire) == 2) {
    member.leaving.store(true);
    set_slot_state(*segment_, member.slot.index, shm::SlotState::kReaping);
    all_given_back = reap(*this, member.slot.index);
  }
  release_context();
  if (all_given_back && member.holders.load(std::memory_order_acquire) == 1) {
    set_slot_state(*segment_, member.slot.index, shm::SlotState::kFree);
  }
}

// ---- The contexts of a thread ---------------------------------------------------------------------------------------

struct Process::ThreadContexts {
  struct Entry {
    uint64_t serial;
    uint64_t nonce;
    Membership* member;
    shm::Context* context;
    uint32_t id;
  };
  std::vector<Entry> entries;

  static pthread_key_t make_key() noexcept {
    pthread_key_t made;
    SHOAL_ASSERT(::pthread_key_create(&made, &Process::exit_thread) == 0);
    return made;
  }
  // Made when the library is loaded: the guard of a first use is a lock that a child may inherit.
  static inline const pthread_key_t key = make_key();

  // This thread's; made on first use, and given back by exit_thread after C++'s own thread-local objects are gone.
  static ThreadContexts& mine() {
    if (void* known = ::pthread_getspecific(key); known != nullptr) return *static_cast<ThreadContexts*>(known);
    auto* fresh = new ThreadContexts;
    SHOAL_ASSERT(::pthread_setspecific(key, fresh) == 0);
    return *fresh;
  }

  Entry* find(uint64_t serial) noexcept {
    std::erase_if(entries,
                  [](const Entry& entry) { return entry.nonce != fork_nonce(); });  // a parent's: not ours to touch
    for (Entry& entry : entries) {
      if (entry.serial == serial) return &entry;
    }
    return nullptr;
  }

  shm::Context* add(uint64_t serial, Membership& member, shm::Context& context) noexcept {
    const uint32_t id = context.id.load(std::memory_order_relaxed);
    member.hold();
    entries.push_back({serial, member.nonce, &member, &context, id});  // room was made before the claim
    use(entries.back());
    return &context;
  }

  static void use(const Entry& entry) noexcept {
    detail::thread_cache = {entry.serial, entry.nonce, fork_nonce_word(), entry.context, entry.id};
  }

  static void give_back(const Entry& entry) noexcept {
    const bool ours = entry.context->id.load(std::memory_order_acquire) == entry.id;
    if (ours && entry.context->outbox != 0) {
      // It has committed messages that it could not publish yet: when it ends it is dead like any other, and recovered.
      // The segment stays mapped, for the kernel marks its note.
      entry.member->keep();
      if (detail::thread_cache.serial == entry.serial) detail::thread_cache = {};
      return;
    }
    if (ours) {  // else we were reaped alive: it is another's now
      if (const Release release = release_hook.load(); release != nullptr)
        release(*entry.member->segment, *entry.context);
      leave_context(*entry.member->segment, *entry.context);
    }
    if (detail::thread_cache.serial == entry.serial) detail::thread_cache = {};
    entry.member->release();
  }

  void remove(uint64_t serial) noexcept {
    if (Entry* entry = find(serial); entry != nullptr) {
      give_back(*entry);
      entries.erase(entries.begin() + (entry - entries.data()));
    }
  }
};

void Process::exit_thread(void* contexts) noexcept {
  std::unique_ptr<ThreadContexts> mine(static_cast<ThreadContexts*>(contexts));
  for (const ThreadContexts::Entry& entry : mine->entries) {
    if (entry.nonce == fork_nonce()) ThreadContexts::give_back(entry);
  }
}

Result<shm::Context*> Process::take_context() {
  ThreadContexts& mine = ThreadContexts::mine();
  if (ThreadContexts::Entry* entry = mine.find(serial_); entry != nullptr) {
    if (entry->context->id.load(std::memory_order_acquire) == entry->id) {
      ThreadContexts::use(*entry);
      return entry->context;
    }
    mine.remove(serial_);
  }
  Result<Membership*> member = hold_membership();
  if (!member.ok()) return member.status();
  const std::unique_ptr<Membership, void (*)(Membership*)> held(member.value(), [](Membership* it) { it->release(); });
  mine.entries.reserve(mine.entries.size() + 1);
  const uint32_t hint = hint_.fetch_add(1, std::memory_order_relaxed) + member.value()->slot.index;
  Result<shm::Context*> claimed = claim_context(*segment_, member.value()->claim(), ContextRange::kRegular, hint);
  if (claimed.ok()) return mine.add(serial_, *member.value(), *claimed.value());
  if (claimed.status().code() != Code::kTooManyThreads) return claimed;
  return claim_by_recovering(mine, *member.value());
}

// All regular contexts are taken, perhaps by the dead. Only a published context recovers: we use a reserved one
// meanwhile.
Result<shm::Context*> Process::claim_by_recovering(ThreadContexts& mine, Membership& member) {
  const Recover recover = recover_hook.load();
  const Status full{Code::kTooManyThreads, "too many threads use the segment; create it with more contexts than",
                    segment_->context_count()};
  if (recover == nullptr) return full;
  Result<shm::Context*> guest = claim_context(*segment_, member.claim(), ContextRange::kReserved, 0);
  if (!guest.ok()) return full;
  mine.add(serial_, member, *guest.value());
  const uint32_t self = guest.value()->id.load(std::memory_order_relaxed);
  const uint32_t high = segment_->context_high();
  for (uint32_t index = 0; index < high; ++index) {
    const uint32_t id = segment_->context(index).id.load(std::memory_order_acquire);
    if (id != 0 && id != self && dead(*segment_, id)) recover(*this, self, id, false);
  }
  if (reap_hook.load() != nullptr) reap_dead_slots();
  mine.remove(serial_);
  mine.entries.reserve(mine.entries.size() + 1);
  Result<shm::Context*> claimed = claim_context(*segment_, member.claim(), ContextRange::kRegular, 0);
  if (!claimed.ok()) return claimed;
  return mine.add(serial_, member, *claimed.value());
}

void Process::release_context() noexcept { ThreadContexts::mine().remove(serial_); }

void Process::retire(shm::Context& context, uint32_t dead_id) noexcept {
  // The caller has a published context, so its membership is there and valid.
  retire_context(*segment_, context, dead_id, membership_.load(std::memory_order_acquire)->claim());
}

// ---- The dead -------------------------------------------------------------------------------------------------------

std::vector<uint32_t> Process::dead_slots() noexcept {
  std::vector<uint32_t> result;
  if (segment_->in_memory()) return result;
  const uint32_t high = segment_->slot_high();
  for (uint32_t index = 0; index < high; ++index) {
    if (slot_state(*segment_, index) != shm::SlotState::kFree) result.push_back(index);
  }
  keep_free_bytes(segment_->name().life_path(), result, segment_->life_file());
  return result;
}

bool Process::slot_alive(uint32_t index) noexcept {
  if (index >= segment_->slot_count() || slot_state(*segment_, index) != shm::SlotState::kUsed) return false;
  return segment_->in_memory() || life_byte_held(segment_->name().life_path(), index, segment_->life_file());
}

bool Process::slot_alive(uint32_t index, uint64_t generation) noexcept {
  if (index >= segment_->slot_count()) return false;
  const shm::Atomic<uint64_t>& current = segment_->slot(index).generation;
  if (current.load(std::memory_order_acquire) != generation || !slot_alive(index)) return false;
  return current.load(std::memory_order_acquire) == generation;
}

bool Process::begin_reaping(uint32_t index) noexcept {
  if (index >= segment_->slot_count()) return false;
  Result<shm::Context*> self = context();
  if (!self.ok() || !reaping_.try_lock()) return false;
  Result<LifeLock> life = take_dead_slot(*segment_, index);
  if (!life.ok()) {
    reaping_.unlock();
    return false;
  }
  reaped_life_ = std::move(life).value();
  recover_contexts_of(index, self.value()->id.load(std::memory_order_relaxed));
  return true;
}

void Process::recover_contexts_of(uint32_t slot_index, uint32_t self) noexcept {
  const Recover recover = recover_hook.load();
  if (recover == nullptr) return;
  const uint32_t high = segment_->context_high();
  for (uint32_t index = 0; index < high; ++index) {
    const uint32_t id = id_in_slot(segment_->context(index), slot_index);
    if (id != 0 && id != self) recover(*this, self, id, true);
  }
}

void Process::finish_reaping(uint32_t index, bool all_given_back) noexcept {
  bool all_free = all_given_back;
  const uint64_t own_claim = membership_.load(std::memory_order_acquire)->claim();
  const uint32_t high = segment_->context_high();
  for (uint32_t each = 0; each < high; ++each) {
    shm::Context& context = segment_->control_context(each);
    const uint64_t claim = context.claim.load(std::memory_order_acquire);
    if (claim == 0 || slot_of_claim(claim) != index) continue;
    if (context.id.load(std::memory_order_acquire) == 0) {
      free_claim(*segment_, context, claim, own_claim);
    } else {
      all_free = false;
    }
  }
  set_slot_state(*segment_, index, all_free ? shm::SlotState::kFree : shm::SlotState::kUsed);
  reaped_life_.drop();
  reaping_.unlock();
}

uint32_t Process::reap_dead_slots() noexcept {
  uint32_t reaped = 0;
  for (uint32_t index : dead_slots()) {
    if (!begin_reaping(index)) continue;
    const Reap reap = reap_hook.load();
    const bool all_given_back = reap == nullptr || reap(*this, index);
    finish_reaping(index, all_given_back);
    reaped += all_given_back;
  }
  return reaped;
}

void Process::keep_up() noexcept {
  if (!upkeep_) return;
  const int64_t now = monotonic_ns();
  int64_t due = next_upkeep_ns_.load(std::memory_order_relaxed);
  if (now < due || !next_upkeep_ns_.compare_exchange_strong(due, now + int64_t{kSelfSweepMs} * 1'000'000)) return;
  upkeep_();
}

void Process::set_recover(Recover recover) noexcept { recover_hook.store(recover); }
void Process::set_release(Release release) noexcept { release_hook.store(release); }
void Process::set_reap(Reap reap) noexcept { reap_hook.store(reap); }

}  // namespace shoal
