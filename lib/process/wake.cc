// SPDX-License-Identifier: MIT
#include "process/wake.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

#include "base/limits.h"
#include "process/relay.h"

namespace shoal {

namespace {

bool futex_wait(shm::Atomic<uint32_t>& word, uint32_t value, int64_t timeout_ns) noexcept {
  const timespec timeout{static_cast<time_t>(timeout_ns / 1'000'000'000),
                         static_cast<long>(timeout_ns % 1'000'000'000)};
  return ::syscall(SYS_futex, &word, FUTEX_WAIT, value, &timeout, nullptr, 0) == 0 || errno != ETIMEDOUT;
}

void futex_wake(shm::Atomic<uint32_t>& word) noexcept {
  ::syscall(SYS_futex, &word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

// Only the sleeper makes an epoch odd, so once it is past `epoch` it stays past it. True if it was we who moved it.
bool end_epoch(shm::Atomic<uint32_t>& word, uint32_t epoch) noexcept {
  return word.compare_exchange_strong(epoch, epoch + 1, std::memory_order_seq_cst);
}

uint32_t begin_epoch(shm::Atomic<uint32_t>& word) noexcept {
  uint32_t value = word.load(std::memory_order_relaxed);
  if (value % 2 != 0) return value;  // still asleep: the loop armed twice
  word.store(++value, std::memory_order_seq_cst);
  std::atomic_thread_fence(std::memory_order_seq_cst);  // pairs with the waker's: one of us sees the other
  return value;
}

// Who has no descriptor left for the FIFO leaves it to the next sweep, of a process that has: who calls forgets whom he
// has woken.
bool wake_loop(Process& process, shm::Context& context, uint32_t epoch, uint32_t id) noexcept {
  if (process.fifos().ring(process.segment(), id)) return end_epoch(context.loop_asleep, epoch);
  context.relay.fetch_or(relay::kLeft);
  return false;
}

}  // namespace

bool wake_context(Process& process, uint32_t context_id) noexcept {
  shm::Context& context = process.segment().control_context(shm::context_index(context_id));
  std::atomic_thread_fence(std::memory_order_seq_cst);  // between the publishing store and the look at the epochs
  const uint32_t thread_epoch = context.asleep.load(std::memory_order_seq_cst);
  const uint32_t loop_epoch = context.loop_asleep.load(std::memory_order_seq_cst);
  if ((thread_epoch | loop_epoch) % 2 == 0) return false;
  if (context.id.load(std::memory_order_acquire) != context_id) return false;
  bool woken = false;
  if (thread_epoch % 2 != 0) {
    woken = end_epoch(context.asleep, thread_epoch);
    futex_wake(context.asleep);
  }
  if (loop_epoch % 2 != 0) woken = wake_loop(process, context, loop_epoch, context_id) || woken;
  return woken;
}

void wake_everybody(Process& process) noexcept {
  Segment& segment = process.segment();
  std::atomic_thread_fence(std::memory_order_seq_cst);
  const uint32_t high = segment.context_high();
  for (uint32_t index = 0; index < high; ++index) {
    shm::Context& context = segment.control_context(index);
    // The epochs first: a next tenant's sleep is not ended for the sake of this one, by a byte in this one's FIFO.
    const uint32_t thread_epoch = context.asleep.load(std::memory_order_seq_cst);
    const uint32_t loop_epoch = context.loop_asleep.load(std::memory_order_seq_cst);
    const uint32_t id = context.id.load(std::memory_order_acquire);
    if (id == 0) continue;
    if (thread_epoch % 2 != 0) end_epoch(context.asleep, thread_epoch);
    if (thread_epoch != 0) futex_wake(context.asleep);
    if (loop_epoch % 2 != 0) wake_loop(process, context, loop_epoch, id);
  }
}

void end_sleeps(shm::Context& context) noexcept {
  for (shm::Atomic<uint32_t>* word : {&context.asleep, &context.loop_asleep}) {
    const uint32_t epoch = word->load(std::memory_order_seq_cst);
    if (epoch % 2 != 0) end_epoch(*word, epoch);
  }
}

void ThreadSleep::prepare() noexcept { epoch_ = begin_epoch(context_.asleep); }

bool ThreadSleep::wait(int64_t timeout_ns) noexcept {
  const int64_t bounded = std::clamp<int64_t>(timeout_ns, 0, kThreadSleepMaxNs);
  const bool woken = futex_wait(context_.asleep, epoch_, bounded);
  cancel();
  process_.keep_up();
  return woken;
}

void ThreadSleep::cancel() noexcept {
  if (epoch_ % 2 != 0) end_epoch(context_.asleep, epoch_);
  epoch_ = 0;
  relay::pass_on(process_, context_);
}

Result<std::unique_ptr<LoopWaker>> LoopWaker::create(Process& process) {
  Result<shm::Context*> context = process.context();
  if (!context.ok()) return context.status();
  if (process.segment().in_memory()) return Status{Code::kUnsupported, "a segment in memory has no FIFOs"};
  std::unique_ptr<LoopWaker> waker(new LoopWaker);
  waker->segment_ = process.shared_segment();
  waker->context_ = context.value();
  waker->context_id_ = context.value()->id.load(std::memory_order_relaxed);
  waker->nonce_ = fork_nonce();
  // Before the FIFO is made the epoch says that there has been one, so that whoever ends this context removes it.
  shm::Atomic<uint32_t>& epoch = context.value()->loop_asleep;
  if (epoch.load(std::memory_order_relaxed) == 0) epoch.store(2, std::memory_order_relaxed);
  const int fd = open_fifo(process.segment(), waker->context_id_, true);
  if (fd < 0) return system_error("make the event loop's FIFO", errno);
  if (!waker->fifo_.remember(fd))
    return Status{Code::kCorrupt, "something that is no FIFO lies in the runtime directory"};
  return waker;
}

LoopWaker::~LoopWaker() {
  if (armed_ && ours()) end_epoch(context_->loop_asleep, context_->loop_asleep.load(std::memory_order_relaxed) | 1);
  fifo_.close();
}

bool LoopWaker::ours() const noexcept {
  return nonce_ == fork_nonce() && context_->id.load(std::memory_order_acquire) == context_id_;
}

void LoopWaker::arm() noexcept {
  drain();  // before: afterwards a byte may be for the sleep that begins
  if (!ours()) return;
  begin_epoch(context_->loop_asleep);
  armed_ = true;
}

void LoopWaker::rouse(Process& process) noexcept {
  if (!ours()) return;
  end_epoch(context_->loop_asleep, context_->loop_asleep.load(std::memory_order_relaxed) | 1);
  armed_ = false;
  rung_ = true;
  relay::pass_on(process, *context_);
}

void LoopWaker::drain() noexcept {
  if (!rung_ || !ours()) return;
  rung_ = false;
  char bytes[64];
  while (::read(fifo_.fd, bytes, sizeof bytes) == static_cast<ssize_t>(sizeof bytes)) {
  }
}

}  // namespace shoal
