// SPDX-License-Identifier: MIT
// Seats: whoever begins a life claims the seat (life, pid 0); the one who lives it writes its pid there by CAS, or ends
// when the controller took the seat back because whoever claimed it was killed before. A seat is set free by the one
// who has seen its process end, and for a thread by the thread itself.
#include "tools/torture/worker.h"

#include <linux/futex.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <ctime>
#include <random>
#include <thread>

#include "tools/torture/performer.h"

namespace shoal::tool::chaos {

namespace {

constexpr int kNoRoom = 3;  // exit code: the segment is too full to begin

// A child has its parent's allocator, and glibc sees to it that no other thread is in the midst of it. The
// AddressSanitizer's allocator is copied with its locks as they are, and the child may wait for one for ever.
#ifdef __SANITIZE_ADDRESS__
constexpr bool kForksBesideAThread = false;
#else
constexpr bool kForksBesideAThread = true;
#endif

// `idle` is called now and then: a parked one still has a child to wait for.
template <typename Idle>
void park(Record& record, Actor& actor, uint32_t pause, Idle&& idle) {
  const timespec patience{0, 20'000'000};
  while (record.pause.load() == pause) {
    idle();
    actor.parked.store(pause);
    ::syscall(SYS_futex, &record.pause, FUTEX_WAIT, pause, &patience, nullptr, 0);
  }
}

// As many operations as it was given to live, or until the end of the run. False: the end.
template <typename Idle>
bool work(Record& record, Actor& actor, Performer& performer, uint64_t steps, Idle&& idle) {
  bool settled = false;
  for (uint64_t i = 0; i < steps; ++i) {
    if (const uint32_t pause = record.pause.load(); pause % 2 == 1) park(record, actor, pause, idle);
    if (record.stop.load() != 0) return false;
    settled = settled || performer.settle();
    if (settled) performer.step();
  }
  return true;
}

class Worker {
 public:
  Worker(Record& record, uint32_t lane, uint64_t life, std::shared_ptr<Process> process)
      : record_(record), lane_(lane), life_(life), process_(std::move(process)), random_(record.seed + life) {}

  void run() {
    const uint32_t number = lane_ * kRoles + kMain;
    Performer performer(record_, number, life_, process_);
    while (work(record_, record_.actors[number], performer, 50 + random_() % 400, [this] { see_child_end(WNOHANG); })) {
      if (record_.phase.load() == Phase::kCalm) continue;
      see_child_end(WNOHANG);
      if (random_() % 8 == 0) start_thread();
      if (random_() % 16 == 0) fork_child();
      if (random_() % 200 == 0) {  // an end in good order
        end(performer);
        record_.exits.fetch_add(1);
        return;
      }
    }
    performer.hear_all();
    end(performer);
  }

 private:
  // Its thread and its child may be parked meanwhile: it parks with them.
  void end(Performer& performer) {
    Actor& self = record_.actor(lane_, kMain);
    const Actor& thread = record_.actor(lane_, kThread);
    while (child_ > 0 || (thread_.joinable() && thread.seat.load() != 0)) {
      see_child_end(WNOHANG);
      if (const uint32_t pause = record_.pause.load(); pause % 2 == 1)
        park(record_, self, pause, [this] { see_child_end(WNOHANG); });
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    if (thread_.joinable()) thread_.join();
    performer.leave();
  }

  void start_thread() {
    Actor& actor = record_.actor(lane_, kThread);
    if (actor.seat.load() != 0) return;
    if (thread_.joinable()) thread_.join();
    const uint64_t life = record_.claim_seat(actor);
    if (life == 0 || !sit_down(actor, life)) return;
    record_.threads.fetch_add(1);
    thread_ = std::thread([this, &actor, life, steps = 20 + random_() % 500] {
      {
        Performer performer(record_, lane_ * kRoles + kThread, life, process_);
        if (!work(record_, actor, performer, steps, [] {})) performer.hear_all();
        performer.leave();
      }
      actor.seat.store(0);
    });
  }

  void fork_child() {
    if (!kForksBesideAThread && thread_.joinable()) {
      if (record_.actor(lane_, kThread).seat.load() != 0) return;
      thread_.join();
    }
    Actor& actor = record_.actor(lane_, kChild);
    const uint64_t life = actor.seat.load() != 0 ? 0 : record_.claim_seat(actor);
    if (life == 0) return;
    const pid_t parent = ::getpid();
    child_ = ::fork();
    if (child_ == 0) be_child(actor, life, parent);
    if (child_ < 0) return actor.seat.store(0);
    record_.forks.fetch_add(1);
  }

  // What it inherited is its parent's; the Process attaches anew for it.
  [[noreturn]] void be_child(Actor& actor, uint64_t life, pid_t parent) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent || !sit_down(actor, life)) ::_exit(0);
    if (const auto context = process_->context(); !context.ok()) ::_exit(kNoRoom);
    Performer performer(record_, lane_ * kRoles + kChild, life, process_);
    if (!work(record_, actor, performer, 20 + random_() % 800, [] {})) performer.hear_all();
    performer.leave();
    ::_exit(0);
  }

  // The seat falls free before the pid does: nobody kills a stranger.
  void see_child_end(int flags) {
    if (child_ <= 0) return;
    siginfo_t info{};
    if (::waitid(P_PID, static_cast<id_t>(child_), &info, WEXITED | WNOWAIT | flags) != 0 || info.si_pid == 0) return;
    record_.actor(lane_, kChild).seat.store(0);
    ::waitpid(child_, nullptr, 0);
    child_ = 0;
  }

  Record& record_;
  const uint32_t lane_;
  const uint64_t life_;
  std::shared_ptr<Process> process_;
  std::mt19937_64 random_;
  std::thread thread_;
  pid_t child_ = 0;
};

}  // namespace

bool sit_down(Actor& actor, uint64_t life) noexcept {
  uint64_t claimed = life << 32;
  return actor.seat.compare_exchange_strong(claimed, claimed | static_cast<uint32_t>(::getpid()));
}

void run_worker(Record& record, const SegmentName& name, uint32_t lane, uint64_t life) {
  Actor& actor = record.actor(lane, kMain);
  if (!sit_down(actor, life)) ::_exit(0);
  auto segment = Segment::open(name, OpenMode::kAttach);
  auto process = segment.ok() ? Process::attach(std::move(segment).value(), shm::SlotRole::kClient)
                              : Result<std::unique_ptr<Process>>(segment.status());
  const Status status = !process.ok() ? process.status() : process.value()->context().status();
  if (!status.ok()) {
    if (!is_refusal(status)) record.violation(Fault::kLost, "a worker cannot attach: %s", describe(status).c_str());
    ::_exit(kNoRoom);
  }
  Worker(record, lane, life, std::move(process).value()).run();
  ::_exit(0);
}

}  // namespace shoal::tool::chaos
