// SPDX-License-Identifier: MIT
// actions.h: what the tool does to segments. Each returns a document that says what was done.
#pragma once

#include <string>

#include "base/status.h"
#include "segment/name.h"
#include "tools/report.h"

namespace shoal::tool {

// Verifies every invariant while all processes wait for it; "ok" is false if one is broken. Repairs nothing but what
// the dead left, as any process does.
Result<Json> check_segment(const SegmentName& name, bool force);

// Verifies it as well, and allows again what is refused because one operation killed three processes. "ok" is false,
// and nothing has changed, if the segment is damaged; `force` does it all the same.
Result<Json> repair_segment(const SegmentName& name, bool force);

// Removes the segment's file and what lies in its runtime directory. Without `force` refused (kBusy) while a process
// other than its daemon lives; the daemon notices and ends.
Result<Json> remove_segment(const SegmentName& name, bool force);

// Removes what only the dead left: runtime directories without segment and without life, FIFOs that nobody reads. Never
// a segment: it outlives its processes by intent. `only` names one segment; empty: all of this host.
Json collect_garbage(bool dry_run, const std::string& only);

}  // namespace shoal::tool
