// SPDX-License-Identifier: MIT
// config.h: what shoald was asked to do, from its command line.
#pragma once

#include <optional>
#include <string>

#include "segment/segment.h"

namespace shoal::daemon {

struct Config {
  std::string segment;   // NAME or URL
  SegmentOptions shape;  // of the segment, if it has to be made
  std::string log_level = "info";
  std::string log_file;     // empty: standard error
  bool background = false;  // started by a client: leaves its session, logs to a file, attaches only
  int idle_exit_s = 0;      // end when no other process was there for so long; 0 = never
};

// The configuration, or the exit code: 0 after --help and --version, 2 for wrong usage.
struct ParsedConfig {
  std::optional<Config> config;
  int exit_code = 0;
};
ParsedConfig parse_config(int argc, const char* const* argv);

}  // namespace shoal::daemon
