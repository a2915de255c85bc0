// SPDX-License-Identifier: MIT
// fork_gate.h: work that no fork of this process may cut in two.
//
// A forked child has copies of its parent's descriptors and mappings, and of whatever another thread was in the midst
// of. That is harmful where a copy carries a lock (the child would hold a flock that its parent gave back long ago, or
// keep a dead parent's life byte) and where a container is half changed. While a NoFork exists, a fork() of another
// thread waits; so it is for work that does not wait for other processes, nor for an interpreter's lock. They exclude
// each other, and one thread holds at most one.
//
// What execs at once (posix_spawn, vfork) does not ask here: O_CLOEXEC and exec give back what it copied.
// Private memory only: if the process dies at any line nothing is left.
#pragma once

namespace shoal {

class NoFork {
 public:
  NoFork() noexcept;
  ~NoFork();
  NoFork(const NoFork&) = delete;
  NoFork& operator=(const NoFork&) = delete;
};

}  // namespace shoal
