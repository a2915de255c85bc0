// SPDX-License-Identifier: MIT
#include "crash/store_trap.h"

#include <execinfo.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <utility>
#include <vector>

#include "base/limits.h"

namespace shoal::crash {

namespace {

constexpr greg_t kTrapFlag = 0x100;
std::vector<StoreTrap*> traps;     // running, outermost first
std::vector<StoreTrap*> stepping;  // between the fault and the trap of its instruction
struct sigaction former_fault;

greg_t& reg(void* context, int number) { return static_cast<ucontext_t*>(context)->uc_mcontext.gregs[number]; }

void on_fault(int signal, siginfo_t* info, void* context) {
  const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  for (auto it = traps.rbegin(); it != traps.rend(); ++it) {
    if (!(*it)->covers(address)) continue;
    if ((*it)->skip(address)) return;
    (*it)->open(static_cast<uintptr_t>(reg(context, REG_RIP)), address);
    stepping.push_back(*it);
    reg(context, REG_EFL) |= kTrapFlag;
    return;
  }
  // Not ours: a real fault, or one that somebody guards against.
  if ((former_fault.sa_flags & SA_SIGINFO) != 0) {
    former_fault.sa_sigaction(signal, info, context);
  } else {
    void* frames[40];
    std::fprintf(stderr, "a fault at %p that is none of ours:\n", info->si_addr);
    ::backtrace_symbols_fd(frames, ::backtrace(frames, 40), STDERR_FILENO);
    ::signal(signal, SIG_DFL);
  }
}

void on_trap(int, siginfo_t*, void* context) {
  reg(context, REG_EFL) &= ~kTrapFlag;
  if (stepping.empty()) return;
  StoreTrap* trap = stepping.back();
  stepping.pop_back();
  trap->close();
}

void install() {
  static bool done = false;
  if (std::exchange(done, true)) return;
  struct sigaction action {};
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  action.sa_sigaction = on_fault;
  ::sigaction(SIGSEGV, &action, &former_fault);
  action.sa_sigaction = on_trap;
  ::sigaction(SIGTRAP, &action, nullptr);
}

}  // namespace

void StoreTrap::protect(uint64_t offset, size_t bytes, int protection) noexcept {
  if (::mprotect(base_ + offset, bytes, protection) != 0) {
    std::perror("mprotect");
    std::abort();
  }
}

bool StoreTrap::skip(uintptr_t address) {
  const uint64_t page = (address - reinterpret_cast<uintptr_t>(base_)) / kPageBytes * kPageBytes;
  if (!free_to_store || !free_to_store(page)) return false;
  skipped_.push_back(page);
  protect(page, kPageBytes, PROT_READ | PROT_WRITE);
  return true;
}

void StoreTrap::open(uintptr_t instruction, uintptr_t address) noexcept {
  instruction_ = instruction;
  offset_ = address - reinterpret_cast<uintptr_t>(base_);
  ++steps_;
  protect(PROT_READ | PROT_WRITE);
  if (about_to_store) about_to_store(steps_);
}

void StoreTrap::close() noexcept {
  stored_(steps_);
  if (!armed_) return;
  protect(PROT_READ);
  std::erase_if(skipped_, [this](uint64_t page) { return !free_to_store(page); });
  for (uint64_t page : skipped_) protect(page, kPageBytes, PROT_READ | PROT_WRITE);
}

#ifdef SHOAL_COVERAGE
// The counts are those of what ran under a trap: what came before is forgotten, and so is what comes behind.
extern "C" void __gcov_reset();
extern "C" void __gcov_dump();

namespace {
const struct Forget {
  ~Forget() { __gcov_reset(); }
} at_exit;
}  // namespace

void StoreTrap::begin_to_count() noexcept { __gcov_reset(); }
void StoreTrap::keep_counts() noexcept {
  if (!traps.empty()) __gcov_dump();
}
#else
void StoreTrap::begin_to_count() noexcept {}
void StoreTrap::keep_counts() noexcept {}
#endif

uint64_t StoreTrap::run(const std::function<void()>& code, std::function<void(uint64_t)> stored) {
  if (traps.empty()) {
    install();
    begin_to_count();
  }
  traps.push_back(this);
  stored_ = std::move(stored);
  steps_ = 0;
  armed_ = true;
  protect(PROT_READ);
  code();
  armed_ = false;
  protect(PROT_READ | PROT_WRITE);
  if (traps.size() == 1) keep_counts();
  traps.pop_back();
  return steps_;
}

}  // namespace shoal::crash
