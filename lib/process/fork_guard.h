// SPDX-License-Identifier: MIT
// fork_guard.h: how this process notices that it is a forked child of the one that wrote a piece of private memory.
//
// A nonce lies in a page that the kernel wipes on fork (MADV_WIPEONFORK). Whatever belongs to one process only (a
// context, a life lock, a descriptor) is remembered together with the nonce and counts only while the two agree: no
// getpid, no atfork. (base/fork_gate.h is for the few things that must not be copied half done.)
// A child's nonce is larger than every nonce of its ancestors.
#pragma once

#include <atomic>
#include <cstdint>

namespace shoal {

// The word in the wiped page, never null; 0 in it = not drawn yet in this process. Reading it is the whole hot path.
const std::atomic<uint64_t>* fork_nonce_word() noexcept;
// This process's nonce, drawn on first use. Never 0.
uint64_t fork_nonce() noexcept;
// False if the kernel cannot wipe a page on fork: then nobody may attach.
bool fork_guard_supported() noexcept;

// A mutex for rare, short work in private memory. A child that was forked while another thread held it may take it:
// what it guards must be of use to a child in whatever state, or be changed under a NoFork.
// Every mutex that a child may come to is one of these: it would wait for ever for a std::mutex that it inherited
// locked, and so for the guard of a static local of the time of its first use.
class ForkLock {
 public:
  bool try_lock() noexcept;
  void lock() noexcept;
  void unlock() noexcept { holder_.store(0, std::memory_order_release); }

 private:
  std::atomic<uint64_t> holder_{0};  // nonce of the process whose thread holds it
};

}  // namespace shoal
