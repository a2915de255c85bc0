// SPDX-License-Identifier: MIT
// single.h: at most one daemon a segment: a lock on daemon.lock in the runtime directory, held for the daemon's life.
// The kernel frees it with the process, so a killed daemon is followed at once; the file stays.
#pragma once

#include "base/status.h"
#include "segment/name.h"

namespace shoal::daemon {

class SingleDaemon {
 public:
  // kBusy if another daemon serves the segment.
  static Result<SingleDaemon> claim(const SegmentName& name);
  SingleDaemon(SingleDaemon&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  SingleDaemon& operator=(SingleDaemon&&) = delete;
  ~SingleDaemon();

 private:
  explicit SingleDaemon(int fd) noexcept : fd_(fd) {}
  int fd_;
};

}  // namespace shoal::daemon
