// SPDX-License-Identifier: MIT
// `shoal check` and `shoal repair`: join the segment, hold all its locks while they walk, and say what they found.
#include "commands/check.h"

#include "process/process.h"
#include "tools/actions.h"

namespace shoal::tool {

namespace {

Result<std::unique_ptr<Process>> join(const SegmentName& name) {
  auto segment = Segment::open(name, OpenMode::kAttach);
  if (!segment.ok()) return segment.status();
  return Process::attach(std::move(segment).value(), shm::SlotRole::kTool);
}

Json refused_by(const CheckReport& report) {
  Json rows = Json::array();
  for (const Conviction& one : report.convictions) {
    rows.push_back({{"shard", one.shard},
                    {"operation", one.operation},
                    {"key", one.key},
                    {"read_only", one.read_only},
                    {"why", describe(one)}});
  }
  return rows;
}

Json findings_of(const CheckReport& report) {
  Json rows = Json::array();
  for (const Finding& finding : report.findings) rows.push_back({{"finding", describe(finding)}});
  return rows;
}

}  // namespace

Result<Json> check_segment(const SegmentName& name, bool) {
  auto process = join(name);
  if (!process.ok()) return process.status();
  auto checked = check_locked(*process.value(), kLockBudgetNs);
  if (!checked.ok()) return checked.status();
  const CheckReport& report = checked.value();
  return Json{{"segment", name.name()},          {"ok", report.clean()},          {"keys", report.keys},
              {"blocks", report.blocks},         {"blocks_bytes", report.bytes},  {"pages_owned", report.pages_owned},
              {"pages_free", report.pages_free}, {"refused", refused_by(report)}, {"findings", findings_of(report)}};
}

Result<Json> repair_segment(const SegmentName& name, bool force) {
  auto process = join(name);
  if (!process.ok()) return process.status();
  auto checked = repair_locked(*process.value(), force, kLockBudgetNs);
  if (!checked.ok()) return checked.status();
  const CheckReport& report = checked.value();
  const bool reopened = report.sound() || force;
  Json done{{"segment", name.name()}, {"ok", reopened}, {"sound", report.sound()}, {"reopened", Json::array()}};
  done[reopened ? "reopened" : "still_refused"] = refused_by(report);
  if (!report.sound()) {
    done["findings"] = findings_of(report);
    done["what_to_do"] = "the segment is damaged: copy what can be read, then `shoal rm`; --force reopens it as it is";
  }
  return done;
}

}  // namespace shoal::tool
