// SPDX-License-Identifier: MIT
// bindings.h: what the files of this folder share. Each bind_x() puts one family into the extension; module.cc calls
// them.
//
// The GIL is never taken while a segment lock is held: a command fills its session's arena under the locks, and Python
// objects are made of it after they fell. Whatever can wait longer than an event loop may releases the GIL first.
#pragma once

#include <nanobind/nanobind.h>

#include <memory>
#include <string>

#include "commands/upkeep.h"
#include "process/fork_guard.h"
#include "process/process.h"

namespace shoal::python {

namespace nb = nanobind;

// A segment that this process has attached. One for each name and process; it lives as long as the process does.
class PySegment {
 public:
  PySegment(std::string name, std::shared_ptr<Process> process)
      : name_(std::move(name)), process_(std::move(process)), upkeep_(Upkeep::of(*process_)) {}

  const std::string& name() const noexcept { return name_; }
  const std::shared_ptr<Process>& process() const noexcept { return process_; }
  Segment& segment() noexcept { return process_->segment(); }
  Upkeep& upkeep() noexcept { return *upkeep_; }

 private:
  std::string name_;
  std::shared_ptr<Process> process_;
  std::shared_ptr<Upkeep> upkeep_;
};

using SegmentRef = std::shared_ptr<PySegment>;

// The signs that an event loop gets instead of a reply.
nb::object busy_sign();
nb::object pending_sign();

// After a call of this thread that may have published: messages that could not leave, for a lock was held. A thread
// waits for that lock without the GIL; on an event loop a timer of the loop's own thread sees to them.
void see_to_messages(const SegmentRef& segment, bool wait);

void bind_channels(nb::module_& module);
void bind_segment(nb::module_& module);
void bind_session(nb::module_& module);
void bind_waker(nb::module_& module);
void bind_queues(nb::module_& module);

}  // namespace shoal::python
