// SPDX-License-Identifier: MIT
#include "commands/upkeep.h"

#include <fcntl.h>

#include <mutex>

#include "commands/reap.h"

namespace shoal {

std::shared_ptr<Upkeep> Upkeep::of(Process& process) {
  install_reaper();
  std::shared_ptr<Upkeep> upkeep(new Upkeep(process));
  process.set_upkeep([upkeep] {
    if (!upkeep->linked()) static_cast<void>(upkeep->sweep());
  });
  return upkeep;
}

bool Upkeep::linked() {
  const std::lock_guard lock(lock_);
  if (link_ && link_->lost()) link_.reset();
  return link_.has_value();
}

Status Upkeep::find_daemon(const std::string& program) {
  if (linked()) return {};
  Result<DaemonLink> link = DaemonLink::connect(process_.segment().name());
  if (!link.ok()) {
    if (program.empty()) {
      return {Code::kNotFound, "found no shoald with this installation or on PATH (SHOAL_DAEMON names one elsewhere)"};
    }
    if (Status status = start_daemon(process_.segment().name(), program); !status.ok()) return status;
    link = DaemonLink::connect(process_.segment().name());
  }
  if (!link.ok()) return {};
  const std::lock_guard lock(lock_);
  link_ = std::move(link).value();
  return {};
}

int Upkeep::watch_daemon() {
  if (!linked()) return -1;
  const std::lock_guard lock(lock_);
  return link_ ? ::fcntl(link_->fd(), F_DUPFD_CLOEXEC, 0) : -1;
}

bool Upkeep::sweep(int64_t budget_ns) {
  shoal::sweep(process_, budget_ns);
  static_cast<void>(find_daemon(""));
  return linked();
}

}  // namespace shoal
