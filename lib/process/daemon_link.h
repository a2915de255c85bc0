// SPDX-License-Identifier: MIT
// daemon_link.h: a process's connection to the segment's daemon, and how the first process starts one.
//
// The connection is a hint and nothing else: while it is open somebody else sweeps; once it reports the end, processes
// that wait for something sweep themselves every kSelfSweepMs until it is back (commands/upkeep.h). No decision about
// life or locks rests on it (daemonizers close descriptors, and the number may be another file's by now: that one is
// neither asked nor closed).
// Nothing is ever sent over it. Thread-safe apart from moves. Dies at any line: the kernel closes the socket.
#pragma once

#include <string>
#include <utility>

#include "base/status.h"
#include "segment/life_file.h"
#include "segment/name.h"

namespace shoal {

inline constexpr int kSelfSweepMs = 250;

std::string daemon_socket_path(const SegmentName& name);

class DaemonLink {
 public:
  // kNotFound if no daemon listens. Never blocks.
  static Result<DaemonLink> connect(const SegmentName& name);
  DaemonLink(DaemonLink&& other) noexcept : fd_(std::exchange(other.fd_, -1)), socket_(other.socket_) {}
  DaemonLink& operator=(DaemonLink&& other) noexcept;
  ~DaemonLink();

  // Readable means: the daemon is gone. Ask lost() first.
  int fd() const noexcept { return fd_; }
  bool lost() const noexcept;

 private:
  explicit DaemonLink(int fd) noexcept : fd_(fd), socket_(file_identity(fd)) {}
  bool still_ours() const noexcept { return fd_ >= 0 && socket_ && file_identity(fd_) == socket_; }
  int fd_;
  FileIdentity socket_;
};

// Runs `program --background NAME` and waits until that says that a daemon serves (its own or one that was faster) or
// that it failed. Blocks for as long as a program start takes; call it outside locks and without the GIL.
Status start_daemon(const SegmentName& name, const std::string& program);

// The program `shoald`: $SHOAL_DAEMON, else beside `near` (a directory, may be empty), else on PATH. Empty if nowhere.
std::string find_daemon_program(const std::string& near);

}  // namespace shoal
