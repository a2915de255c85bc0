// SPDX-License-Identifier: MIT
// readiness.h: how a daemon in the background tells the program that was started that it serves, or why not. The parent
// waits for one byte, its exit code, so that whoever ran it knows that the socket is there.
#pragma once

namespace shoal::daemon {

class Readiness {
 public:
  // Returns in the child, in a session of its own; the parent exits with the code that the child says.
  void go_to_background();
  // Says it once and lets the standard streams go; in the foreground nothing happens. Returns the code.
  int say(int code);

 private:
  int fd_ = -1;
};

}  // namespace shoal::daemon
