// SPDX-License-Identifier: MIT
#include "process/daemon_link.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <sstream>

extern char** environ;  // NOLINT: POSIX declares it nowhere

namespace shoal {

std::string daemon_socket_path(const SegmentName& name) { return name.runtime_dir() + "/daemon.sock"; }

Result<DaemonLink> DaemonLink::connect(const SegmentName& name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = daemon_socket_path(name);
  if (path.size() >= sizeof address.sun_path) {
    return Status{Code::kInvalidArgument,
                  "the runtime directory's path is too long for a socket; set SHOAL_RUNTIME_DIR"};
  }
  std::memcpy(address.sun_path, path.c_str(), path.size());
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return system_error("make a socket", errno);
  DaemonLink link(fd);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return link;
  const int error = errno;
  if (error == ENOENT || error == ECONNREFUSED) return Status{Code::kNotFound, "no daemon serves this segment"};
  return system_error("connect to the daemon", error);
}

DaemonLink& DaemonLink::operator=(DaemonLink&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(socket_, other.socket_);
  return *this;
}

DaemonLink::~DaemonLink() {
  if (still_ours()) ::close(fd_);
}

bool DaemonLink::lost() const noexcept {
  if (!still_ours()) return true;
  char byte;
  const ssize_t got = ::recv(fd_, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
}

namespace {

// Default signals and an empty mask for the daemon, whatever the application blocks or ignores; a session of its own,
// so that the terminal's Ctrl-C does not end it with the application.
struct SpawnSettings {
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_t files;
  SpawnSettings() {
    sigset_t none, all;
    ::sigemptyset(&none);
    ::sigfillset(&all);
    ::posix_spawnattr_init(&attributes);
    ::posix_spawnattr_setsigmask(&attributes, &none);
    ::posix_spawnattr_setsigdefault(&attributes, &all);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
    ::posix_spawn_file_actions_init(&files);
    ::posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
    ::posix_spawn_file_actions_addclosefrom_np(&files, 3);
  }
  ~SpawnSettings() {
    ::posix_spawn_file_actions_destroy(&files);
    ::posix_spawnattr_destroy(&attributes);
  }
};

bool serves(const SegmentName& name) { return DaemonLink::connect(name).ok(); }

}  // namespace

Status start_daemon(const SegmentName& name, const std::string& program) {
  if (serves(name)) return {};
  SpawnSettings settings;
  std::string path = program, background = "--background", segment = name.name();
  char* arguments[] = {path.data(), background.data(), segment.data(), nullptr};
  pid_t pid = 0;
  const int error = ::posix_spawn(&pid, program.c_str(), &settings.files, &settings.attributes, arguments, environ);
  if (error != 0) return system_error("start the daemon", error);
  int status = 0;
  pid_t ended;
  do {
    ended = ::waitpid(pid, &status, 0);
  } while (ended < 0 && errno == EINTR);
  // Where the application reaps children by itself (SIGCHLD ignored), waitpid waited all the same; ask the socket.
  const bool good = ended == pid ? WIFEXITED(status) && WEXITSTATUS(status) == 0 : serves(name);
  if (!good) return {Code::kSystem, "the daemon did not start; its log is shoald.log in the runtime directory", status};
  return {};
}

std::string find_daemon_program(const std::string& near) {
  const auto runnable = [](const std::string& path) { return ::access(path.c_str(), X_OK) == 0; };
  if (const char* own = std::getenv("SHOAL_DAEMON"); own != nullptr && *own != '\0') return own;
  if (!near.empty() && runnable(near + "/shoald")) return near + "/shoald";
  const char* path = std::getenv("PATH");
  std::stringstream folders(path == nullptr ? "" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    if (!folder.empty() && runnable(folder + "/shoald")) return folder + "/shoald";
  }
  return {};
}

}  // namespace shoal
