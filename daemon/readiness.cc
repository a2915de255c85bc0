// SPDX-License-Identifier: MIT
#include "daemon/readiness.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <utility>

namespace shoal::daemon {

void Readiness::go_to_background() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) std::exit(EXIT_FAILURE);
  const pid_t child = ::fork();
  if (child < 0) std::exit(EXIT_FAILURE);
  if (child > 0) {
    ::close(ends[1]);
    unsigned char code = EXIT_FAILURE;  // what a child that dies silently amounts to
    while (::read(ends[0], &code, 1) < 0 && errno == EINTR) {
    }
    ::_exit(code);
  }
  ::close(ends[0]);
  ::setsid();
  if (::chdir("/") != 0) std::exit(EXIT_FAILURE);
  fd_ = ends[1];
}

int Readiness::say(int code) {
  const int fd = std::exchange(fd_, -1);
  if (fd < 0) return code;
  const int null = ::open("/dev/null", O_RDWR);
  for (const int standard : {0, 1, 2}) ::dup2(null, standard);
  if (null > 2) ::close(null);
  const auto byte = static_cast<unsigned char>(code);
  while (::write(fd, &byte, 1) < 0 && errno == EINTR) {
  }
  ::close(fd);
  return code;
}

}  // namespace shoal::daemon
