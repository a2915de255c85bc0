// SPDX-License-Identifier: MIT
// daemon.h: the loop of shoald: a socket whose only message is that it is open, signals, and tasks at their own pace.
// One thread, one context. Ends on SIGTERM, SIGINT or SIGHUP, when the segment was removed, or after long enough alone.
//
// Dies at any line: workers see their sockets end and sweep themselves; the next daemon finds everything in the
// segment.
#pragma once

#include <utility>  // Boost 1.74 forgets it

#include <boost/asio.hpp>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "daemon/task.h"
#include "process/process.h"

namespace shoal::daemon {

class Daemon {
 public:
  Daemon(Process& process, int idle_exit_s);
  void add(std::unique_ptr<Task> task);
  // Opens the socket: from here on clients find us. The caller holds the SingleDaemon of this segment.
  Status listen(const SegmentName& name);
  // Until something ends it.
  void run();

 private:
  using Socket = boost::asio::local::stream_protocol::socket;
  struct Scheduled {
    std::unique_ptr<Task> task;
    boost::asio::steady_timer timer;
  };

  void accept();
  void watch(std::list<Socket>::iterator client);
  void schedule(Scheduled& scheduled, std::chrono::milliseconds delay);
  void watch_segment();
  bool anybody_else();
  void stop(const char* why);

  Process& process_;
  boost::asio::io_context loop_{1};
  boost::asio::local::stream_protocol::acceptor acceptor_{loop_};
  boost::asio::signal_set signals_{loop_};
  boost::asio::steady_timer watch_timer_{loop_};
  std::list<Socket> clients_;
  std::vector<std::unique_ptr<Scheduled>> tasks_;
  std::string socket_path_;
  std::chrono::seconds idle_exit_;
  std::chrono::steady_clock::time_point last_seen_;
  char ignored_[64];
};

}  // namespace shoal::daemon
