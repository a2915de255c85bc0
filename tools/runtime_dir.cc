// SPDX-License-Identifier: MIT
#include "tools/runtime_dir.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "process/daemon_link.h"

namespace shoal::tool {

namespace fs = std::filesystem;

namespace {

bool made_by_shoal(const std::string& file) {
  return file == "life" || file == "daemon.lock" || file == "daemon.sock" || file == "shoald.log" ||
         file.starts_with("wake.");
}

bool segment_exists(const SegmentName& name) { return ::access(name.shm_path().c_str(), F_OK) == 0; }

}  // namespace

bool anybody_alive(const SegmentName& name) {
  const int fd = ::open(name.life_path().c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return errno != ENOENT;
  struct flock probe {};
  probe.l_type = F_WRLCK;
  probe.l_whence = SEEK_SET;
  const bool held = ::fcntl(fd, F_OFD_GETLK, &probe) != 0 || probe.l_type != F_UNLCK;
  ::close(fd);
  return held;
}

bool wait_for_daemon_to_end(const SegmentName& name, std::chrono::milliseconds at_most) {
  auto link = DaemonLink::connect(name);
  if (!link.ok()) return true;
  pollfd end{link.value().fd(), POLLIN, 0};
  while (::poll(&end, 1, static_cast<int>(at_most.count())) < 0 && errno == EINTR) {
  }
  return link.value().lost();
}

std::vector<SegmentName> runtime_directories() {
  const std::string any = SegmentName::parse("any").value().runtime_dir();
  std::vector<std::string> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(fs::path(any).parent_path(), error)) {
    if (entry.is_directory(error) && !entry.is_symlink(error)) found.push_back(entry.path().filename().string());
  }
  std::sort(found.begin(), found.end());
  std::vector<SegmentName> names;
  for (const std::string& text : found) {
    if (auto name = SegmentName::parse(text); name.ok()) names.push_back(name.value());
  }
  return names;
}

// Under the lock that creators take: while we hold it, nobody can be making this segment.
bool remove_runtime_dir(const SegmentName& name) {
  const int creation = ::open(name.life_path().c_str(), O_RDWR | O_CLOEXEC);
  if (creation >= 0 && ::flock(creation, LOCK_EX | LOCK_NB) != 0) {
    ::close(creation);
    return false;
  }
  if (!anybody_alive(name) && !segment_exists(name)) {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(name.runtime_dir(), error)) {
      if (made_by_shoal(entry.path().filename().string())) ::unlink(entry.path().c_str());
    }
    ::rmdir(name.runtime_dir().c_str());
  }
  if (creation >= 0) ::close(creation);
  return ::access(name.runtime_dir().c_str(), F_OK) != 0;
}

}  // namespace shoal::tool
