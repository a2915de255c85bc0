// SPDX-License-Identifier: MIT
// daemon.h: the loop of shoald: a socket whose only message is that it is open, signals, and tasks at their own pace.
// One thread, one context. Ends on SIGTERM, SIGINT or SIGHUP, when the segment was removed, or after long enough alone.
//
// Dies at any line: workers see their sockets end and sweep themselves; the next daemon finds everything in the
// segment.
#pragma once

#include <memory>

#include "base/status.h"
#include "daemon/task.h"
#include "process/process.h"

namespace shoal::daemon {

class Daemon {
 public:
  Daemon(Process& process, int idle_exit_s);
  ~Daemon();
  void add(std::unique_ptr<Task> task);
  // Opens the socket: from here on clients find us. The caller holds the SingleDaemon of this segment.
  Status listen(const SegmentName& name);
  // Until something ends it.
  void run();

 private:
  struct Loop;
  std::unique_ptr<Loop> loop_;
};

}  // namespace shoal::daemon
