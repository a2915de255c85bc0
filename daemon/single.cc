// SPDX-License-Identifier: MIT
#include "daemon/single.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

namespace shoal::daemon {

Result<SingleDaemon> SingleDaemon::claim(const SegmentName& name) {
  const std::string path = name.runtime_dir() + "/daemon.lock";
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return system_error("open the daemon's lock file", errno);
  SingleDaemon single(fd);
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return single;
  if (errno == EWOULDBLOCK) return Status{Code::kBusy, "another daemon serves this segment"};
  return system_error("lock the daemon's lock file", errno);
}

SingleDaemon::~SingleDaemon() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace shoal::daemon
