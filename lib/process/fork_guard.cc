// SPDX-License-Identifier: MIT
#include "process/fork_guard.h"

#include <sys/mman.h>
#include <time.h>

#include <new>

#include "base/limits.h"
#include "base/status.h"

namespace shoal {

namespace {

std::atomic<std::atomic<uint64_t>*> wiped_page{nullptr};
std::atomic<uint64_t> last_nonce{0};  // ordinary memory: a child starts with its parent's value
std::atomic<bool> wipes{true};

std::atomic<uint64_t>* make_page() noexcept {
  void* memory = ::mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  SHOAL_ASSERT(memory != MAP_FAILED);
  if (::madvise(memory, kPageBytes, MADV_WIPEONFORK) != 0) wipes.store(false);
  auto* fresh = new (memory) std::atomic<uint64_t>(0);
  std::atomic<uint64_t>* expected = nullptr;
  if (wiped_page.compare_exchange_strong(expected, fresh)) return fresh;
  ::munmap(memory, kPageBytes);
  return expected;
}

std::atomic<uint64_t>* page() noexcept {
  std::atomic<uint64_t>* known = wiped_page.load(std::memory_order_acquire);
  return known != nullptr ? known : make_page();
}

}  // namespace

const std::atomic<uint64_t>* fork_nonce_word() noexcept { return page(); }

uint64_t fork_nonce() noexcept {
  std::atomic<uint64_t>& word = *page();
  uint64_t nonce = word.load(std::memory_order_acquire);
  if (nonce != 0) return nonce;
  // Raised before it is used, so that a child that is forked in between still draws a larger one.
  const uint64_t fresh = last_nonce.fetch_add(1) + 1;
  return word.compare_exchange_strong(nonce, fresh) ? fresh : nonce;
}

bool fork_guard_supported() noexcept {
  page();
  return wipes.load();
}

bool ForkLock::try_lock() noexcept {
  const uint64_t mine = fork_nonce();
  uint64_t seen = holder_.load(std::memory_order_relaxed);
  return seen != mine && holder_.compare_exchange_strong(seen, mine, std::memory_order_acquire);
}

void ForkLock::lock() noexcept {
  for (unsigned tries = 0; !try_lock(); ++tries) {
    if (tries < 64) continue;
    const timespec pause{0, 50'000};
    ::nanosleep(&pause, nullptr);
  }
}

}  // namespace shoal
