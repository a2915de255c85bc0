// SPDX-License-Identifier: MIT
#include "process/slow_lane.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <utility>
#include <vector>

#include "process/fork_guard.h"

namespace shoal::slow_lane {

namespace {

constexpr int64_t kFirstPauseNs = 500'000, kLongestPauseNs = 32'000'000;

// Of one OS process, and never destroyed: its thread may outlive everything else.
struct Lane {
  uint64_t nonce = fork_nonce();
  ForkLock lock;
  std::vector<Job> jobs;
  bool has_thread = false;
};

std::atomic<Lane*> current{nullptr};

Lane& lane() {
  Lane* known = current.load(std::memory_order_acquire);
  if (known != nullptr && known->nonce == fork_nonce()) return *known;
  auto* fresh = new Lane;  // a parent's is left alone: it may have been copied half changed
  if (current.compare_exchange_strong(known, fresh)) return *fresh;
  delete fresh;
  return *known;
}

// Those that are left when each was tried.
std::vector<Job> tried(std::vector<Job> jobs) {
  std::erase_if(jobs, [](const Job& job) { return job(); });
  return jobs;
}

void* serve(void* raw) {
  Lane& own = *static_cast<Lane*>(raw);
  std::vector<Job> left;
  for (int64_t pause_ns = kFirstPauseNs;;) {
    const size_t before = left.size();
    {
      const std::lock_guard guard(own.lock);
      if (!own.jobs.empty()) pause_ns = kFirstPauseNs;
      std::move(own.jobs.begin(), own.jobs.end(), std::back_inserter(left));
      own.jobs.clear();
      own.has_thread = !left.empty();
      if (left.empty()) return nullptr;
    }
    left = tried(std::move(left));
    if (left.empty()) continue;
    const timespec pause{0, pause_ns};
    ::nanosleep(&pause, nullptr);
    pause_ns = left.size() < before ? kFirstPauseNs : std::min(2 * pause_ns, kLongestPauseNs);
  }
}

bool start_thread(Lane& own) {
  sigset_t all, former;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &former);
  pthread_t thread;
  const bool made = ::pthread_create(&thread, nullptr, &serve, &own) == 0;
  if (made) ::pthread_detach(thread);
  ::pthread_sigmask(SIG_SETMASK, &former, nullptr);
  return made;
}

}  // namespace

void add(Job job) {
  Lane& own = lane();
  const std::lock_guard guard(own.lock);
  own.jobs.push_back(std::move(job));
  if (!own.has_thread) own.has_thread = start_thread(own);  // without one, the next job tries to make it again
}

}  // namespace shoal::slow_lane
