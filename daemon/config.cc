// SPDX-License-Identifier: MIT
#include "daemon/config.h"

#include <CLI/CLI.hpp>

namespace shoal::daemon {

namespace {
constexpr int kBackgroundIdleExitS = 60;
}

ParsedConfig parse_config(int argc, const char* const* argv) {
  Config config;
  CLI::App app(
      "Shoal's daemon for one segment: cleans up after dead processes, expires keys, grows the segment ahead of need. "
      "Workers go on without it; the first of them starts one by itself. A segment that does not exist is made.",
      "shoald");
  app.set_version_flag("--version", SHOAL_VERSION);
  app.add_option("NAME", config.segment, "the segment, or a URL shoal://NAME")->required();
  auto* shape = app.add_option_group("shape", "of a segment that has to be made");
  shape->add_option("--max-size", config.shape.max_size, "bytes, or 64MB, 2GB ...")
      ->transform(CLI::AsSizeValue(false))
      ->capture_default_str();
  shape->add_option("--shards", config.shape.shard_count, "a power of two")->capture_default_str();
  shape->add_option("--contexts", config.shape.context_count, "threads at most")->capture_default_str();
  shape->add_option("--slots", config.shape.slot_count, "processes at most")->capture_default_str();
  app.add_option("--log-level", config.log_level, "how much to say")
      ->check(CLI::IsMember({"trace", "debug", "info", "warning", "error", "critical", "off"}))
      ->capture_default_str();
  app.add_option("--log-file", config.log_file, "append the log to this file instead of standard error");
  app.add_flag("--background", config.background,
               "return when the daemon serves; the segment must exist, the log goes to its runtime directory");
  auto* idle = app.add_option("--idle-exit", config.idle_exit_s,
                              "end after so many seconds without any other process, 0 = never; in the background 60");
  idle->check(CLI::NonNegativeNumber);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return {std::nullopt, app.exit(error) == 0 ? 0 : 2};
  }
  if (config.background && idle->count() == 0) config.idle_exit_s = kBackgroundIdleExitS;
  return {config, 0};
}

}  // namespace shoal::daemon
