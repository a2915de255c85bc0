// SPDX-License-Identifier: MIT
// segment.cc: _shoal.Segment, an attached segment.
//
// One for each name and process, kept until the process ends: sessions, subscriptions and queues of any client share
// the process's slot. A segment that was removed and made anew under its name is attached anew by the next client.
// After fork the child attaches by itself at its first command (process/process.h).
#include <dlfcn.h>
#include <nanobind/nanobind.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <mutex>

#include "base/fork_gate.h"
#include "bindings.h"
#include "errors.h"
#include "gil.h"

namespace shoal::python {

namespace {

// Never destroyed: a thread that still runs when the interpreter ends may be in a command.
struct Attached {
  ForkLock lock;
  std::map<std::string, SegmentRef> by_name;

  // Gives back what was there under this name. The map is never copied half changed into a forked child.
  SegmentRef put(const std::string& name, SegmentRef segment) {
    const NoFork whole;
    by_name[name].swap(segment);
    return segment;
  }
};
Attached& all = *new Attached;

Result<SegmentRef> open(const std::string& name, OpenMode mode, const SegmentOptions& options) {
  Result<SegmentName> parsed = SegmentName::parse(name);
  if (!parsed.ok()) return parsed.status();
  const std::lock_guard lock(all.lock);
  if (auto known = all.by_name.find(name); known != all.by_name.end() && known->second != nullptr) {
    if (!known->second->segment().removed()) return known->second;
    all.put(name, nullptr).reset();  // while somebody lives in a removed segment there is no new one of its name
  }
  Result<std::unique_ptr<Segment>> segment = Segment::open(parsed.value(), mode, options);
  if (!segment.ok()) return segment.status();
  Result<std::unique_ptr<Process>> process = Process::attach(std::move(segment).value(), shm::SlotRole::kClient);
  if (!process.ok()) return process.status();
  auto made = std::make_shared<PySegment>(name, std::shared_ptr<Process>(std::move(process).value()));
  all.put(name, made);
  return made;
}

// Where this installation's programs lie: PREFIX/bin, for we are in PREFIX/lib/pythonX.Y/site-packages/shoal.
// Not asked of sysconfig at the first command: a child that is forked while another thread imports a module, or has
// sysconfig's lock, would wait for it for ever.
std::string installed_programs() {
  Dl_info here{};
  if (::dladdr(reinterpret_cast<const void*>(&bind_segment), &here) == 0 || here.dli_fname == nullptr) return {};
  std::error_code failed;
  const std::filesystem::path extension = std::filesystem::absolute(here.dli_fname, failed);
  return failed ? std::string() : (extension.parent_path() / "../../../../bin").lexically_normal().string();
}
const std::string& programs = *new std::string(installed_programs());

// `shoald` of this installation, or on PATH. Empty: there is none.
std::string daemon_program() { return find_daemon_program(programs); }

void warn(const std::string& text) {
  nb::module_::import_("logging").attr("getLogger")("shoal").attr("warning")("%s", text);
}

SegmentRef attach(const std::string& name, bool create, uint64_t max_size, uint32_t shards, uint32_t contexts,
                  uint32_t slots, uint32_t mode, bool daemon) {
  SegmentOptions options;
  if (max_size != 0) options.max_size = max_size;
  if (shards != 0) options.shard_count = shards;
  if (contexts != 0) options.context_count = contexts;
  if (slots != 0) options.slot_count = slots;
  options.mode = mode;
  const std::string program = daemon ? daemon_program() : "";
  Result<SegmentRef> result = SegmentRef{};
  Status found;
  {
    GilRelease released;  // creating waits for the creator's lock and for the kernel's memory
    result = open(name, create ? OpenMode::kAttachOrCreate : OpenMode::kAttach, options);
    if (result.ok()) found = result.value()->upkeep().find_daemon(program);
  }
  if (!result.ok()) raise(result.status(), name);
  if (daemon && !found.ok())
    warn("segment \"" + name + "\": " + describe(found) + "; processes that wait for something do its work");
  return result.value();
}

// Who holds a lock at this moment, by the pids that they have in their own namespaces.
std::vector<uint32_t> lock_holders(PySegment& self) {
  std::vector<uint32_t> pids;
  const Segment& segment = self.segment();
  for (uint32_t index = 0; index < segment.shard_count(); ++index) {
    const uint32_t holder = segment.shard(index).owner.load(std::memory_order_acquire) & ~shm::kWaitersBit;
    const uint32_t pid = holder == 0 ? 0 : holder_pid(segment, holder);
    if (pid != 0 && std::find(pids.begin(), pids.end(), pid) == pids.end()) pids.push_back(pid);
  }
  return pids;
}

}  // namespace

void bind_segment(nb::module_& module) {
  module.def("daemon_program", &daemon_program, "The shoald that attach() would start; empty: none is found.");
  nb::class_<PySegment>(module, "Segment", "An attached segment: one for each name and process.")
      .def_static("attach", &attach, nb::arg("name"), nb::kw_only(), nb::arg("create") = true, nb::arg("max_size") = 0,
                  nb::arg("shards") = 0, nb::arg("contexts") = 0, nb::arg("slots") = 0, nb::arg("mode") = 0600,
                  nb::arg("daemon") = true)
      .def_prop_ro("name", [](PySegment& self) { return self.name(); })
      .def_prop_ro("path", [](PySegment& self) { return self.segment().name().shm_path(); })
      .def_prop_ro("runtime_dir", [](PySegment& self) { return self.segment().name().runtime_dir(); })
      .def("lock_holders", &lock_holders, "Pids of those who hold a lock of the segment at this moment.")
      .def(
          "watch_daemon", [](PySegment& self) { return self.upkeep().watch_daemon(); },
          "A new descriptor, readable once the daemon is gone; -1: no daemon, call sweep() now and then.")
      .def(
          "sweep", [](PySegment& self) { return self.upkeep().sweep(); }, nb::call_guard<GilRelease>(),
          "Repair and give back what dead processes held; True: a daemon does that again.");
}

}  // namespace shoal::python
