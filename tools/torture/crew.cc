// SPDX-License-Identifier: MIT
#include "tools/torture/crew.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "base/clock.h"
#include "tools/torture/worker.h"

namespace shoal::tool::chaos {

namespace {

constexpr int64_t kNsPerMs = 1'000'000;

// What the controller's child must not do when a terminal or a shell ends the run: only the controller ends workers.
void be_somebodys_child(pid_t controller) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != controller) ::_exit(0);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) std::signal(number, SIG_IGN);
}

}  // namespace

Crew::Crew(Record& record, const SegmentName& name) : record_(record), name_(name), lanes_(record.workers) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
}

Crew::~Crew() {
  for (uint32_t lane = 0; lane < lanes_.size(); ++lane) {
    if (lanes_[lane].pid > 0) kill_lane(lane);
  }
  end_daemon();
  while (::waitpid(-1, nullptr, WNOHANG) > 0) {
  }
  ::prctl(PR_SET_CHILD_SUBREAPER, 0);
}

void Crew::start(uint32_t lane) {
  const uint64_t life = record_.claim_seat(record_.actor(lane, kMain));
  if (life == 0) return;
  const pid_t controller = ::getpid();
  const pid_t pid = ::fork();
  if (pid == 0) {
    be_somebodys_child(controller);
    run_worker(record_, name_, lane, life);
  }
  lanes_[lane] = {pid, life, 0, 0};
  if (pid < 0) record_.actor(lane, kMain).seat.store(0);
}

void Crew::start_missing() {
  for (uint32_t lane = 0; lane < lanes_.size(); ++lane) {
    if (lanes_[lane].pid <= 0 && monotonic_ns() >= lanes_[lane].start_at_ns) start(lane);
  }
}

bool Crew::anybody_left() const noexcept {
  for (const Lane& lane : lanes_) {
    if (lane.pid > 0) return true;
  }
  return false;
}

// By name only: an orphan's pid must stay his until his seat is free.
void Crew::collect() {
  int status = 0;
  for (uint32_t lane = 0; lane < lanes_.size(); ++lane) {
    if (lanes_[lane].pid > 0 && ::waitpid(lanes_[lane].pid, &status, WNOHANG) == lanes_[lane].pid) ended(lane, status);
  }
  if (daemon_ <= 0 || ::waitpid(daemon_, &status, WNOHANG) != daemon_) return;
  if (WIFSIGNALED(status) && !daemon_doomed_) {
    record_.violation(Fault::kLost, "the daemon died by signal %d", WTERMSIG(status));
  }
  daemon_ = 0;
}

void Crew::ended(uint32_t lane, int status) {
  Lane& it = lanes_[lane];
  const bool doomed = record_.actor(lane, kMain).doomed.load() == it.life;
  if (WIFSIGNALED(status) && !doomed) {
    record_.violation(Fault::kLost, "worker %u, pid %d, died by signal %d", lane, it.pid, WTERMSIG(status));
  }
  const bool no_room = WIFEXITED(status) && WEXITSTATUS(status) != 0;
  it = {0, 0, 0, no_room ? monotonic_ns() + 20 * kNsPerMs : 0};
  vacate(lane);
}

// Its process is gone and waited for.
void Crew::vacate(uint32_t lane) {
  record_.actor(lane, kThread).seat.store(0);
  Actor& child = record_.actor(lane, kChild);
  for (uint64_t seat = child.seat.load(); seat != 0; seat = child.seat.load()) {
    const auto pid = static_cast<pid_t>(seat & 0xffff'ffff);
    if (pid == 0) {  // it may not exist, and if it does it will not sit down
      if (child.seat.compare_exchange_strong(seat, 0)) break;
      continue;
    }
    kill_seat(child);
    ::waitpid(pid, nullptr, 0);
    child.seat.store(0);
  }
  record_.actor(lane, kMain).seat.store(0);
}

// By a pidfd: the pid of one who ends meanwhile may be a stranger's.
bool Crew::kill_seat(Actor& actor) {
  const uint64_t seat = actor.seat.load();
  const auto pid = static_cast<pid_t>(seat & 0xffff'ffff);
  if (pid == 0) return false;
  const auto fd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  if (fd < 0) return false;
  const bool same = actor.seat.load() == seat;
  if (same) {
    actor.doomed.store(seat >> 32);
    ::syscall(SYS_pidfd_send_signal, fd, SIGKILL, nullptr, 0);
  }
  ::close(fd);
  return same;
}

void Crew::kill_lane(uint32_t lane) {
  Lane& it = lanes_[lane];
  record_.actor(lane, kMain).doomed.store(it.life);
  ::kill(it.pid, SIGKILL);
  int status = 0;
  if (::waitpid(it.pid, &status, 0) == it.pid) ended(lane, status);
}

void Crew::kill_one(std::mt19937_64& random) {
  const auto lane = static_cast<uint32_t>(random() % lanes_.size());
  if (lanes_[lane].pid <= 0) return;
  if (random() % 6 == 0 && kill_seat(record_.actor(lane, kChild))) {
    ++kills;
    return;
  }
  // Not waited for here: the others meet the dying one.
  if (record_.actor(lane, kMain).doomed.exchange(lanes_[lane].life) == lanes_[lane].life) return;
  ::kill(lanes_[lane].pid, SIGKILL);
  ++kills;
}

void Crew::stop_one(std::mt19937_64& random) {
  Lane& lane = lanes_[random() % lanes_.size()];
  if (lane.pid <= 0 || lane.continue_at_ns != 0) return;
  const int64_t ms =
      random() % 8 == 0 ? 100 + static_cast<int64_t>(random() % 200) : 1 + static_cast<int64_t>(random() % 30);
  lane.continue_at_ns = monotonic_ns() + ms * kNsPerMs;
  ::kill(lane.pid, SIGSTOP);
  ++stops;
}

void Crew::continue_due() {
  for (Lane& lane : lanes_) {
    if (lane.continue_at_ns == 0 || monotonic_ns() < lane.continue_at_ns) continue;
    lane.continue_at_ns = 0;
    if (lane.pid > 0) ::kill(lane.pid, SIGCONT);
  }
}

void Crew::continue_all() {
  for (Lane& lane : lanes_) lane.continue_at_ns = lane.continue_at_ns == 0 ? 0 : 1;
  continue_due();
}

void Crew::start_daemon(const std::string& program) {
  const pid_t controller = ::getpid();
  const pid_t pid = ::fork();
  if (pid != 0) {
    daemon_ = pid;
    daemon_doomed_ = false;
    return;
  }
  be_somebodys_child(controller);
  const int nowhere = ::open("/dev/null", O_RDWR);
  for (const int fd : {0, 1, 2}) ::dup2(nowhere, fd);
  ::execl(program.c_str(), program.c_str(), "--log-level", "off", name_.name().c_str(), nullptr);
  ::_exit(127);
}

void Crew::kill_daemon() {
  if (daemon_ <= 0) return;
  daemon_doomed_ = true;
  ::kill(daemon_, SIGKILL);
  ++daemon_kills;
}

void Crew::end_daemon() {
  if (daemon_ <= 0) return;
  ::kill(daemon_, SIGKILL);
  ::waitpid(daemon_, nullptr, 0);
  daemon_ = 0;
}

}  // namespace shoal::tool::chaos
