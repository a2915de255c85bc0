// SPDX-License-Identifier: MIT
// shoald: see daemon.h. Exit codes: 0 ended in good order (also: asked to the background while another daemon serves),
// 1 failed, 2 wrong usage, 3 another daemon serves this segment.
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <optional>

#include "daemon/config.h"
#include "daemon/daemon.h"
#include "daemon/expire_task.h"
#include "daemon/grow_task.h"
#include "daemon/log.h"
#include "daemon/readiness.h"
#include "daemon/single.h"
#include "daemon/sweep_task.h"
#include "process/daemon_link.h"
#include "segment/url.h"

namespace {

using namespace shoal;
using namespace shoal::daemon;

constexpr int kFailed = 1, kWrongUsage = 2, kOtherDaemon = 3;
constexpr int kRivalTries = 1000, kRivalPauseUs = 5000;

int fail(const Status& status) {
  std::fprintf(stderr, "shoald: %s\n", describe(status).c_str());
  return status.code() == Code::kBusy ? kOtherDaemon : kFailed;
}

// Each client is a descriptor, and without one for the life file nobody is reaped.
void allow_many_descriptors() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  (void)::setrlimit(RLIMIT_NOFILE, &limit);
}

// Whoever started us in the background wants a daemon that serves: nothing if another one does. One that has the lock
// and does not may be about to begin, or to end.
Result<std::optional<SingleDaemon>> claim(const SegmentName& name, bool background) {
  for (int i = 0;; ++i) {
    Result<SingleDaemon> single = SingleDaemon::claim(name);
    if (single.ok()) return std::optional<SingleDaemon>(std::move(single).value());
    if (single.status().code() != Code::kBusy || !background) return single.status();
    if (DaemonLink::connect(name).ok()) return std::optional<SingleDaemon>();
    if (i == kRivalTries) return Status{Code::kSystem, "another daemon has the segment's lock but does not serve"};
    ::usleep(kRivalPauseUs);
  }
}

int serve(const Config& config, const SegmentName& name, Readiness& readiness) {
  if (config.background && ::access(name.shm_path().c_str(), F_OK) != 0) {
    return fail({Code::kNotFound, "there is no segment of this name"});
  }
  if (Status status = name.make_runtime_dir(); !status.ok()) return fail(status);
  const auto single = claim(name, config.background);
  if (!single.ok()) return fail(single.status());
  if (!single.value()) return 0;
  auto segment = Segment::open(name, config.background ? OpenMode::kAttach : OpenMode::kAttachOrCreate, config.shape);
  if (!segment.ok()) return fail(segment.status());
  auto process = Process::attach(std::move(segment).value(), shm::SlotRole::kDaemon);
  if (!process.ok()) return fail(process.status());
  const bool own_file = config.log_file.empty() && config.background;
  const std::string log = own_file ? name.runtime_dir() + "/shoald.log" : config.log_file;
  if (Status status = open_log(config.log_level, log); !status.ok()) return fail(status);

  Daemon daemon(*process.value(), config.idle_exit_s);
  daemon.add(std::make_unique<SweepTask>(*process.value()));
  daemon.add(std::make_unique<GrowTask>(*process.value()));
  daemon.add(std::make_unique<ExpireTask>(*process.value()));
  if (Status status = daemon.listen(name); !status.ok()) return fail(status);
  log_info("shoald " SHOAL_VERSION " serves " + name.name() + ", pid " + std::to_string(::getpid()));
  readiness.say(0);
  daemon.run();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const ParsedConfig parsed = parse_config(argc, argv);
  if (!parsed.config) return parsed.exit_code;
  auto url = SegmentUrl::parse(parsed.config->segment);
  if (!url.ok()) {
    fail(url.status());
    return kWrongUsage;
  }
  std::signal(SIGPIPE, SIG_IGN);
  ::umask(0077);
  allow_many_descriptors();
  Readiness readiness;
  if (parsed.config->background) readiness.go_to_background();
  return readiness.say(serve(*parsed.config, url.value().name, readiness));
}
