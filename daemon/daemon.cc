// SPDX-License-Identifier: MIT
#include "daemon/daemon.h"

#include <unistd.h>

#include <csignal>
#include <list>
#include <string>
#include <utility>  // Boost 1.74's Asio forgets it
#include <vector>

#include <boost/asio.hpp>

#include "daemon/log.h"
#include "process/daemon_link.h"

namespace shoal::daemon {

namespace asio = boost::asio;
using boost::system::error_code;
using std::chrono::milliseconds;

namespace {
constexpr milliseconds kWatchSegmentEvery{250};
constexpr milliseconds kAcceptAgainAfter{100};
}  // namespace

struct Daemon::Loop {
  using Socket = asio::local::stream_protocol::socket;
  struct Scheduled {
    std::unique_ptr<Task> task;
    asio::steady_timer timer;
  };

  // From here on a signal waits for run(): whoever sees the socket may ask the daemon to end.
  Loop(Process& of, int idle_exit_s) : process_(of), idle_exit_(idle_exit_s) {
    for (const int number : {SIGTERM, SIGINT, SIGHUP}) signals_.add(number);
  }

  void add(std::unique_ptr<Task> task);
  Status listen(const SegmentName& name);
  void run();
  void accept();
  void watch(std::list<Socket>::iterator client);
  void schedule(Scheduled& scheduled, milliseconds delay);
  void watch_segment();
  bool anybody_else();
  void stop(const char* why);

  Process& process_;
  asio::io_context loop_{1};
  asio::local::stream_protocol::acceptor acceptor_{loop_};
  asio::signal_set signals_{loop_};
  asio::steady_timer watch_timer_{loop_};
  std::list<Socket> clients_;
  std::vector<std::unique_ptr<Scheduled>> tasks_;
  std::string socket_path_;
  std::chrono::seconds idle_exit_;
  std::chrono::steady_clock::time_point last_seen_ = std::chrono::steady_clock::now();
  char ignored_[64];
};

Daemon::Daemon(Process& process, int idle_exit_s) : loop_(std::make_unique<Loop>(process, idle_exit_s)) {}
Daemon::~Daemon() = default;
void Daemon::add(std::unique_ptr<Task> task) { loop_->add(std::move(task)); }
Status Daemon::listen(const SegmentName& name) { return loop_->listen(name); }
void Daemon::run() { loop_->run(); }

void Daemon::Loop::add(std::unique_ptr<Task> task) {
  tasks_.push_back(std::make_unique<Scheduled>(Scheduled{std::move(task), asio::steady_timer(loop_)}));
}

Status Daemon::Loop::listen(const SegmentName& name) {
  const std::string path = daemon_socket_path(name);
  ::unlink(path.c_str());  // of a predecessor that was killed: our lock says that it is gone
  try {
    acceptor_.open();
    acceptor_.bind(path);
    acceptor_.listen();
  } catch (const boost::system::system_error& error) {
    return system_error("listen on the daemon's socket", error.code().value());
  }
  socket_path_ = path;
  return {};
}

void Daemon::Loop::run() {
  signals_.async_wait([this](const error_code& error, int number) {
    if (!error) stop(number == SIGTERM ? "SIGTERM" : number == SIGINT ? "SIGINT" : "SIGHUP");
  });
  for (auto& scheduled : tasks_) schedule(*scheduled, milliseconds(0));
  accept();
  watch_segment();
  loop_.run();
}

void Daemon::Loop::accept() {
  acceptor_.async_accept([this](const error_code& error, Socket socket) {
    if (error == asio::error::operation_aborted) return;
    if (error) {  // most likely no descriptor is left
      auto pause = std::make_shared<asio::steady_timer>(loop_, kAcceptAgainAfter);
      return pause->async_wait([this, pause](const error_code&) { accept(); });
    }
    clients_.push_front(std::move(socket));
    watch(clients_.begin());
    log_debug("a client connected, " + std::to_string(clients_.size()) + " now");
    accept();
  });
}

// A client never speaks; what it sends all the same is dropped, until it ends.
void Daemon::Loop::watch(std::list<Socket>::iterator client) {
  client->async_read_some(asio::buffer(ignored_), [this, client](const error_code& error, size_t) {
    if (error == asio::error::operation_aborted) return;
    if (!error) return watch(client);
    clients_.erase(client);
    log_debug("a client left, " + std::to_string(clients_.size()) + " now");
    for (auto& scheduled : tasks_) {
      if (scheduled->task->client_left()) schedule(*scheduled, milliseconds(0));
    }
  });
}

void Daemon::Loop::schedule(Scheduled& scheduled, milliseconds delay) {
  scheduled.timer.expires_after(delay);  // takes back the turn that was planned
  scheduled.timer.async_wait([this, &scheduled](const error_code& error) {
    if (!error) schedule(scheduled, scheduled.task->turn());
  });
}

void Daemon::Loop::watch_segment() {
  if (process_.segment().removed()) return stop("the segment was removed");
  const auto now = std::chrono::steady_clock::now();
  if (idle_exit_.count() > 0) {
    if (!clients_.empty() || anybody_else()) last_seen_ = now;
    if (now - last_seen_ >= idle_exit_) return stop("nobody uses the segment");
  }
  watch_timer_.expires_after(kWatchSegmentEvery);
  watch_timer_.async_wait([this](const error_code& error) {
    if (!error) watch_segment();
  });
}

bool Daemon::Loop::anybody_else() {
  const Segment& segment = process_.segment();
  for (uint32_t index = 0; index < segment.slot_count(); ++index) {
    const auto state = segment.slot(index).state.load(std::memory_order_acquire);
    if (state == static_cast<uint32_t>(shm::SlotState::kUsed) && index != process_.slot_index()) return true;
  }
  return false;
}

void Daemon::Loop::stop(const char* why) {
  log_info(std::string("ending: ") + why);
  if (!socket_path_.empty()) ::unlink(socket_path_.c_str());
  loop_.stop();
}

}  // namespace shoal::daemon
