// SPDX-License-Identifier: MIT
// run_delay.h: how long this thread could have run and was not let, as the kernel's scheduler counts it.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>

namespace shoal::tool::chaos {

class RunDelay {
 public:
  RunDelay() : fd_(::open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC)) { (void)since_last_ns(); }
  ~RunDelay() {
    if (fd_ >= 0) ::close(fd_);
  }
  RunDelay(const RunDelay&) = delete;
  RunDelay& operator=(const RunDelay&) = delete;

  // A microsecond a look. 0 where the kernel does not count it.
  uint64_t since_last_ns() noexcept {
    char text[96]{};
    unsigned long on_cpu = 0, waited = 0;
    if (fd_ < 0 || ::pread(fd_, text, sizeof text - 1, 0) <= 0) return 0;
    if (std::sscanf(text, "%lu %lu", &on_cpu, &waited) != 2) return 0;
    const uint64_t before = last_;
    last_ = waited;
    return waited - before;
  }

 private:
  int fd_;
  uint64_t last_ = 0;
};

}  // namespace shoal::tool::chaos
