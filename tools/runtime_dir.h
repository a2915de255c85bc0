// SPDX-License-Identifier: MIT
// runtime_dir.h: what lies in a segment's runtime directory, and whether anybody still needs it.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "segment/name.h"

namespace shoal::tool {

// Somebody, this process included, holds any byte of the life file. True if that cannot be found out.
bool anybody_alive(const SegmentName& name);

// Waits until the daemon that serves the segment is gone, if there is one. False: it still serves.
bool wait_for_daemon_to_end(const SegmentName& name, std::chrono::milliseconds at_most);

// Names of the segments that have a runtime directory, sorted.
std::vector<SegmentName> runtime_directories();

// Removes the files that Shoal makes there and then the directory, unless somebody lives or the segment exists. Foreign
// files stay, and the directory with them. Returns whether it is gone.
bool remove_runtime_dir(const SegmentName& name);

}  // namespace shoal::tool
