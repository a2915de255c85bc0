// SPDX-License-Identifier: MIT
#include "base/fork_gate.h"

#include <pthread.h>

namespace shoal {

namespace {

pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

void close_gate() noexcept { ::pthread_mutex_lock(&gate); }
void open_gate() noexcept { ::pthread_mutex_unlock(&gate); }  // in parent and child: the forking thread is in both

// When the library is loaded and not on first use: the guard of a first use is a lock that a child may inherit.
[[maybe_unused]] const int registered = ::pthread_atfork(&close_gate, &open_gate, &open_gate);

}  // namespace

NoFork::NoFork() noexcept { close_gate(); }
NoFork::~NoFork() { open_gate(); }

}  // namespace shoal
