// SPDX-License-Identifier: MIT
// `shoal rm` and `shoal gc`.
#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <optional>

#include "commands/reap.h"
#include "process/process.h"
#include "tools/actions.h"
#include "tools/runtime_dir.h"
#include "tools/view.h"

namespace shoal::tool {

namespace fs = std::filesystem;

namespace {

constexpr std::chrono::milliseconds kDaemonEndsWithin{5000};

// Processes that would lose the segment. Where the segment cannot be read, its life file has to do.
uint32_t count_users(const SegmentView& view) {
  if (view.problem()) return anybody_alive(view.name()) ? 1 : 0;
  uint32_t users = 0;
  for (const uint32_t slot : view.used_slots()) {
    const auto role = static_cast<shm::SlotRole>(view.segment().slot(slot).role.load(std::memory_order_relaxed));
    if (role != shm::SlotRole::kDaemon && view.slot_alive(slot)) ++users;
  }
  return users;
}

// wake.INDEX.GENERATION: the id of the context whose FIFO this is.
std::optional<uint32_t> fifo_owner(const std::string& file) {
  constexpr std::string_view kPrefix = "wake.";
  if (!file.starts_with(kPrefix)) return std::nullopt;
  const char* end = file.data() + file.size();
  uint32_t index = 0, generation = 0;
  const auto first = std::from_chars(file.data() + kPrefix.size(), end, index);
  if (first.ec != std::errc{} || first.ptr == end || *first.ptr != '.') return std::nullopt;
  const auto second = std::from_chars(first.ptr + 1, end, generation);
  if (second.ec != std::errc{} || second.ptr != end) return std::nullopt;
  return shm::context_id(generation, index);
}

Json found(const char* what, const std::string& where) { return {{"what", what}, {"where", where}}; }

void collect_fifos(const SegmentView& view, bool dry_run, Json& done) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(view.name().runtime_dir(), error)) {
    const auto owner = fifo_owner(entry.path().filename().string());
    if (!owner || !entry.is_fifo(error)) continue;
    const uint32_t index = shm::context_index(*owner);
    if (index < view.segment().context_count() && view.segment().context(index).id.load() == *owner) continue;
    if (!dry_run) ::unlink(entry.path().c_str());
    done.push_back(found("FIFO of a dead thread", entry.path().string()));
  }
}

void collect_slots(const SegmentView& view, bool dry_run, Json& done) {
  uint32_t dead = 0;
  for (const uint32_t slot : view.used_slots()) dead += view.slot_alive(slot) ? 0 : 1;
  if (dead == 0) return;
  const std::string what = "slots of " + std::to_string(dead) + " dead processes";
  if (!dry_run) {
    install_reaper();
    auto segment = Segment::open(view.name(), OpenMode::kAttach);
    if (!segment.ok()) return done.push_back(found(describe(segment.status()).c_str(), view.name().shm_path()));
    auto process = Process::attach(std::move(segment).value(), shm::SlotRole::kTool);
    if (!process.ok()) return done.push_back(found(describe(process.status()).c_str(), view.name().shm_path()));
    sweep(*process.value());
  }
  done.push_back(found(what.c_str(), view.name().shm_path()));
}

}  // namespace

Result<Json> remove_segment(const SegmentName& name, bool force) {
  auto view = SegmentView::open(name);
  if (!view.ok()) return view.status();
  const uint32_t users = count_users(view.value());
  if (users > 0 && !force) {
    return Status{Code::kBusy, "processes use the segment; stop them, or say --force. How many:", users};
  }
  if (Status status = Segment::remove(name); !status.ok()) return status;
  wait_for_daemon_to_end(name, kDaemonEndsWithin);
  return Json{{"removed", name.name()},
              {"freed_bytes", view.value().physical_bytes()},
              {"processes_left", users},
              {"runtime_dir_removed", remove_runtime_dir(name)}};
}

Json collect_garbage(bool dry_run, const std::string& only) {
  const auto wanted = [&](const SegmentName& name) { return only.empty() || name.name() == only; };
  Json done = Json::array();
  for (const SegmentName& name : all_segments()) {
    if (!wanted(name)) continue;
    auto view = SegmentView::open(name);
    if (!view.ok() || view.value().problem()) continue;
    collect_slots(view.value(), dry_run, done);
    collect_fifos(view.value(), dry_run, done);
  }
  for (const SegmentName& name : runtime_directories()) {
    if (!wanted(name) || ::access(name.shm_path().c_str(), F_OK) == 0 || anybody_alive(name)) continue;
    if (dry_run || remove_runtime_dir(name))
      done.push_back(found("runtime directory without segment", name.runtime_dir()));
  }
  return done;
}

}  // namespace shoal::tool
