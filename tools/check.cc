// SPDX-License-Identifier: MIT
// `shoal check`: joins the segment, holds all its locks while it walks, and says what it found.
#include "commands/check.h"

#include "process/process.h"
#include "tools/actions.h"

namespace shoal::tool {

Result<Json> check_segment(const SegmentName& name, bool) {
  auto segment = Segment::open(name, OpenMode::kAttach);
  if (!segment.ok()) return segment.status();
  auto process = Process::attach(std::move(segment).value(), shm::SlotRole::kTool);
  if (!process.ok()) return process.status();
  auto report = check_locked(*process.value(), kLockBudgetNs);
  if (!report.ok()) return report.status();
  Json findings = Json::array();
  for (const Finding& finding : report.value().findings) findings.push_back({{"finding", describe(finding)}});
  return Json{{"segment", name.name()},
              {"ok", report.value().clean()},
              {"keys", report.value().keys},
              {"blocks", report.value().blocks},
              {"blocks_bytes", report.value().bytes},
              {"pages_owned", report.value().pages_owned},
              {"pages_free", report.value().pages_free},
              {"findings", findings}};
}

}  // namespace shoal::tool
