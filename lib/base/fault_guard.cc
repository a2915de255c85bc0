// SPDX-License-Identifier: MIT
#include "base/fault_guard.h"

#include <setjmp.h>
#include <signal.h>

#include "base/fork_gate.h"

namespace shoal::fault_guard {

namespace {

thread_local sigjmp_buf* innermost = nullptr;
constexpr int kSignals[] = {SIGSEGV, SIGBUS};
struct sigaction former[2];
int users = 0;

void on_fault(int signal, siginfo_t* info, void* context) {
  if (innermost != nullptr) siglongjmp(*innermost, 1);
  const struct sigaction& old = former[signal == SIGSEGV ? 0 : 1];
  if ((old.sa_flags & SA_SIGINFO) != 0) {
    old.sa_sigaction(signal, info, context);
  } else if (old.sa_handler != SIG_DFL && old.sa_handler != SIG_IGN) {
    old.sa_handler(signal);
  } else {
    ::sigaction(signal, &old, nullptr);  // the instruction faults again, and its default is taken
  }
}

void install() noexcept {
  const NoFork alone;
  if (users++ > 0) return;
  struct sigaction action {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
  for (int i = 0; i < 2; ++i) ::sigaction(kSignals[i], &action, &former[i]);
}

void uninstall() noexcept {
  const NoFork alone;
  if (--users > 0) return;
  for (int i = 0; i < 2; ++i) ::sigaction(kSignals[i], &former[i], nullptr);
}

}  // namespace

bool run(void (*function)(void*), void* argument) noexcept {
  install();
  sigjmp_buf here;
  sigjmp_buf* const outer = innermost;
  volatile bool finished = false;
  if (sigsetjmp(here, 1) == 0) {
    innermost = &here;
    function(argument);
    finished = true;
  }
  innermost = outer;
  uninstall();
  return finished;
}

void give_up() noexcept {
  if (innermost != nullptr) siglongjmp(*innermost, 1);
}

}  // namespace shoal::fault_guard
