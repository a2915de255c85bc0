// SPDX-License-Identifier: MIT
// The run: rounds of calm, kills and storm, each behind a quiet point at which the model looks at everything.
#include "tools/torture/torture.h"

#include <linux/futex.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <csignal>
#include <filesystem>
#include <random>
#include <thread>

#include "base/clock.h"
#include "commands/reap.h"
#include "process/daemon_link.h"
#include "tools/actions.h"
#include "tools/torture/crew.h"
#include "tools/torture/model.h"
#include "tools/torture/stuck.h"

namespace shoal::tool {

namespace chaos {

namespace {

constexpr int64_t kNsPerS = 1'000'000'000;
constexpr uint64_t kLargest = 48 * kMiB, kSmallest = 8 * kMiB;
// A round, unless the run is shorter than two.
constexpr int64_t kRoundNs = 3 * kNsPerS;

std::atomic<bool> interrupted{false};
void interrupt(int) { interrupted = true; }

class Signals {
 public:
  Signals() {
    interrupted = false;
    struct sigaction action {};
    action.sa_handler = interrupt;
    for (size_t i = 0; i < 2; ++i) ::sigaction(kNumbers[i], &action, &before_[i]);
  }
  ~Signals() {
    for (size_t i = 0; i < 2; ++i) ::sigaction(kNumbers[i], &before_[i], nullptr);
  }

 private:
  static constexpr int kNumbers[2] = {SIGINT, SIGTERM};
  struct sigaction before_[2];
};

// Three quarters of what /dev/shm has left, within bounds: the segment is to become full, the machine is not.
Result<uint64_t> size_for_this_machine() {
  struct statvfs room {};
  if (::statvfs("/dev/shm", &room) != 0) return system_error("look at /dev/shm", errno);
  const uint64_t free_bytes = uint64_t{room.f_bavail} * room.f_frsize;
  const uint64_t size = std::min(kLargest, free_bytes / 4 * 3) / kMiB * kMiB;
  if (size < kSmallest) return Status{Code::kFull, "less than 12 MB are free in /dev/shm"};
  return size;
}

Result<SegmentOptions> shape(uint64_t max_size, uint32_t workers) {
  const Result<uint64_t> size = max_size != 0 ? Result<uint64_t>(max_size) : size_for_this_machine();
  if (!size.ok()) return size.status();
  SegmentOptions options;
  options.max_size = size.value();
  options.shard_count = 16;
  options.context_count = 128 + workers * 16;
  options.slot_count = 64 + workers * 8;
  options.first_commit = 4 * kMiB;
  return options;
}

std::string own_directory() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).parent_path().string();
}

std::shared_ptr<Process> attach(const SegmentName& name, const SegmentOptions& options, Status& status) {
  auto segment = Segment::open(name, OpenMode::kAttachOrCreate, options);
  if (!segment.ok()) {
    status = segment.status();
    return nullptr;
  }
  auto process = Process::attach(std::move(segment).value(), shm::SlotRole::kTool);
  if (!process.ok()) status = process.status();
  return process.ok() ? std::shared_ptr<Process>(std::move(process).value()) : nullptr;
}

class Run {
 public:
  Run(const TortureOptions& options, const SegmentName& name, Record& record, std::shared_ptr<Process> process)
      : options_(options),
        record_(record),
        process_(std::move(process)),
        model_(record, process_),
        crew_(record, name),
        random_(record.seed),
        daemon_program_(find_daemon_program(own_directory())) {}

  Status lay_out() { return model_.lay_out(); }

  void run() {
    begun_ns_ = next_line_ns_ = monotonic_ns();
    const int64_t end = begun_ns_ + int64_t{options_.seconds} * kNsPerS;
    const int64_t round_ns = std::min(kRoundNs, (end - begun_ns_) / 2);
    if (!daemon_program_.empty()) crew_.start_daemon(daemon_program_);
    for (uint32_t round = 0; monotonic_ns() < end && going(); ++round) {
      phase(Phase::kCalm, round_ns / 5);
      phase(Phase::kKills, round_ns * 2 / 5);
      storm_fills_ = round % 3 == 0;
      if (storm_fills_) turn_filling();
      phase(Phase::kStorm, round_ns * 2 / 5);
      if (going() && quiet()) model_.check();
      unpark();
    }
    finish();
  }

  Json report() const;

 private:
  bool going() const noexcept { return !stuck_ && !interrupted; }

  void phase(Phase phase, int64_t lasts_ns) {
    record_.phase.store(phase);
    int64_t next_ns = 0;
    for (const int64_t end = monotonic_ns() + lasts_ns; monotonic_ns() < end && going();) {
      tend();
      if (phase != Phase::kCalm && monotonic_ns() >= next_ns) {
        disturb(phase);
        next_ns = monotonic_ns() + static_cast<int64_t>(random_() % 16'000'000);
      }
      pause();
    }
    record_.fill.store(0);
    crew_.continue_all();
  }

  void disturb(Phase phase) {
    if (phase == Phase::kKills) return crew_.kill_one(random_);
    switch (random_() % 8) {
      case 0:
      case 1:
      case 2:
        return crew_.stop_one(random_);
      case 3:
        if (random_() % 16 == 0) crew_.kill_daemon();
        return;
      case 4:
        if (storm_fills_ && random_() % 8 == 0) turn_filling();
        return;
      default:
        return crew_.kill_one(random_);
    }
  }

  void turn_filling() {
    const bool wanted = record_.fill.load() == 0;
    fills_ += wanted ? 1 : 0;
    record_.fill.store(wanted ? 1 : 0);
  }

  // What goes on in every phase.
  void tend() {
    crew_.collect();
    crew_.start_missing();
    crew_.continue_due();
    if (!daemon_program_.empty() && !crew_.has_daemon() && random_() % 64 == 0) crew_.start_daemon(daemon_program_);
    watch();
    say();
  }

  void pause() { std::this_thread::sleep_for(std::chrono::milliseconds(1)); }

  void watch() {
    const int number = find_stuck(record_, options_.stuck_after_ns);
    if (number >= 0) stuck("an operation of actor", number);
  }

  void stuck(const char* what, int64_t number) {
    if (stuck_) return;
    stuck_ = true;
    record_.violation(Fault::kStuck, "%s %ld does not end", what, number);
    doing_ = what_everybody_does(record_, process_->segment());
  }

  // Everybody parks; the dead are recovered. False: somebody does not.
  bool quiet() {
    crew_.continue_all();
    const uint32_t pause_number = record_.pause.load() + 1;
    record_.pause.store(pause_number);
    const int64_t deadline = monotonic_ns() + options_.stuck_after_ns;
    for (uint32_t number = 0; number < record_.actor_count();) {
      crew_.collect();
      const Actor& actor = record_.actors[number];
      if (actor.seat.load() == 0 || actor.parked.load() == pause_number) {
        ++number;
        continue;
      }
      say();
      if (monotonic_ns() > deadline) stuck("actor", number);
      if (stuck_) return false;
      pause();
    }
    return recover_the_dead();
  }

  bool recover_the_dead() {
    const int64_t deadline = monotonic_ns() + options_.stuck_after_ns;
    do {
      sweep(*process_);
      if (monotonic_ns() > deadline) stuck("the reaping of slots, how many:", std::ssize(process_->dead_slots()));
      if (stuck_) return false;
    } while (!process_->dead_slots().empty());
    return true;
  }

  void unpark() {
    record_.pause.fetch_add(record_.pause.load() % 2);
    ::syscall(SYS_futex, &record_.pause, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
  }

  // Some end in good order, some are killed; then nothing of them may be left.
  void finish() {
    record_.phase.store(Phase::kStorm);
    record_.stop.store(1);
    unpark();
    const int64_t deadline = monotonic_ns() + options_.stuck_after_ns;
    while (crew_.anybody_left() && !stuck_) {
      crew_.collect();
      if (random_() % 32 == 0) crew_.kill_one(random_);
      if (monotonic_ns() > deadline) stuck("the end of workers, how many:", record_.workers);
      pause();
    }
    if (stuck_ || !recover_the_dead()) return;
    model_.remove_ballast();
    if (options_.meddle) options_.meddle(*process_);
    model_.check_end();
    if (record_.fault_count() == 0 && !options_.keep) model_.check_empty();
  }

  uint64_t sum(Atomic<uint64_t> Actor::*field) const noexcept {
    uint64_t all = 0;
    for (const Actor& actor : record_.actors) all += (actor.*field).load();
    return all;
  }

  void say() {
    const int64_t now = monotonic_ns();
    if (!options_.progress || now < next_line_ns_) return;
    next_line_ns_ += kNsPerS;
    char line[200];
    std::snprintf(line, sizeof line,
                  "%4ld s  %-5s  %10lu operations  %5lu kills  %4lu stops  %3lu forks  lost %lu  stuck %lu  leaked %lu",
                  (now - begun_ns_) / kNsPerS, phase_name(record_.phase.load()), sum(&Actor::operations), crew_.kills,
                  crew_.stops, record_.forks.load(), record_.faults[0].load(), record_.faults[1].load(),
                  record_.faults[2].load());
    options_.progress(line);
  }

  Json phase_row(Phase phase) const;

  const TortureOptions& options_;
  Record& record_;
  std::shared_ptr<Process> process_;
  Model model_;
  Crew crew_;
  std::mt19937_64 random_;
  std::string daemon_program_;
  int64_t begun_ns_ = 0, next_line_ns_ = 0;
  uint64_t fills_ = 0;
  bool storm_fills_ = false, stuck_ = false;
  std::vector<std::string> doing_;
};

double us(uint64_t ns) { return static_cast<double>(ns) / 1000; }

Json Run::phase_row(Phase phase) const {
  const auto index = static_cast<uint32_t>(phase);
  Histogram times, waits;
  const Slowest* slowest = &record_.actors[0].slowest[index];
  for (const Actor& actor : record_.actors) {
    times.add(actor.times[index]);
    waits.add(actor.lock_waits[index]);
    if (actor.slowest[index].ns.load() > slowest->ns.load()) slowest = &actor.slowest[index];
  }
  return {{"phase", phase_name(phase)},
          {"operations", times.count()},
          {"p50_us", us(times.percentile(0.5))},
          {"p99_us", us(times.percentile(0.99))},
          {"p99.9_us", us(times.percentile(0.999))},
          {"max_us", us(times.longest())},
          {"slowest", op_name(slowest->op.load())},
          {"off_cpu_us", us(slowest->off_cpu_ns.load())},
          {"queued_us", us(slowest->queued_ns.load())},
          {"lock_p50_us", us(waits.percentile(0.5))},
          {"lock_p99_us", us(waits.percentile(0.99))},
          {"lock_p99.9_us", us(waits.percentile(0.999))},
          {"lock_max_us", us(waits.longest())}};
}

Json Run::report() const {
  Json phases = Json::array(), violations = Json::array(), doing = Json::array();
  for (const Phase phase : {Phase::kCalm, Phase::kKills, Phase::kStorm}) phases.push_back(phase_row(phase));
  for (const Violation& violation : record_.violations) {
    if (violation.written.load() != 0) violations.push_back({{"violation", violation.text}});
  }
  for (const std::string& line : doing_) doing.push_back({{"actor", line}});
  Json document{{"ok", record_.fault_count() == 0},
                {"seed", record_.seed},
                {"seconds", (monotonic_ns() - begun_ns_) / kNsPerS},
                {"workers", record_.workers},
                {"segment_bytes", process_->segment().header().max_size},
                {"operations", sum(&Actor::operations)},
                {"refused_when_full", sum(&Actor::refused)},
                {"killed_in_flight", sum(&Actor::maybes)},
                {"kills", crew_.kills},
                {"stops", crew_.stops},
                {"forks", record_.forks.load()},
                {"threads_ended", record_.threads.load()},
                {"orderly_ends", record_.exits.load()},
                {"daemon_kills", crew_.daemon_kills},
                {"fills", fills_},
                {"times_full", sum(&Actor::times_full)},
                {"recoveries", process_->segment().header().recoveries.load()},
                {"longest_recovery_us", us(process_->segment().header().longest_recovery_ns.load())},
                {"convictions_lifted", record_.convictions.load()},
                {"lost", record_.faults[0].load()},
                {"stuck", record_.faults[1].load()},
                {"leaked", record_.faults[2].load()},
                {"phases", phases},
                {"violations", violations}};
  if (!doing.empty()) document["doing"] = doing;
  return document;
}

Result<Json> run_on(const SegmentName& name, const TortureOptions& options, Record& record) {
  auto shape_of = shape(options.max_size, record.workers);
  if (!shape_of.ok()) return shape_of.status();
  Status status;
  auto process = attach(name, shape_of.value(), status);
  if (process == nullptr) return status;
  Run run(options, name, record, std::move(process));
  if (status = run.lay_out(); !status.ok()) return status;
  run.run();
  return run.report();
}

}  // namespace
}  // namespace chaos

Result<Json> torture(const TortureOptions& options) {
  using namespace chaos;
  auto name = SegmentName::parse(options.name.empty() ? "torture-" + std::to_string(::getpid()) : options.name);
  if (!name.ok()) return name.status();
  if (::access(name.value().shm_path().c_str(), F_OK) == 0) {
    return Status{Code::kInvalidArgument, "there is a segment of this name; torture makes one of its own"};
  }
  std::unique_ptr<Record, void (*)(Record*)> record(Record::create(), &Record::destroy);
  if (record == nullptr) return system_error("map the record", errno);
  const uint32_t processors = std::thread::hardware_concurrency();
  record->workers = std::min(kWorkersMax, options.workers != 0 ? options.workers : std::max(4u, 2 * processors));
  record->seed = options.seed != 0 ? options.seed : std::random_device{}();
  const Signals signals;
  auto result = run_on(name.value(), options, *record);
  if (!options.keep) (void)remove_segment(name.value(), true);
  return result;
}

}  // namespace shoal::tool
