// SPDX-License-Identifier: MIT
#include "daemon/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace shoal::daemon {

Status open_log(const std::string& level, const std::string& file) {
  try {
    spdlog::set_default_logger(file.empty() ? spdlog::stderr_logger_st("shoald")
                                            : spdlog::basic_logger_st("shoald", file));
  } catch (const spdlog::spdlog_ex& error) {
    std::fprintf(stderr, "shoald: %s\n", error.what());
    return {Code::kSystem, "cannot write the log"};
  }
  spdlog::set_pattern("%Y-%m-%d %H:%M:%S.%e %l %v");
  spdlog::set_level(spdlog::level::from_str(level));
  spdlog::flush_on(spdlog::level::trace);
  return {};
}

void log_debug(const std::string& text) { spdlog::debug("{}", text); }
void log_info(const std::string& text) { spdlog::info("{}", text); }
void log_warning(const std::string& text) { spdlog::warn("{}", text); }
void log_error(const std::string& text) { spdlog::error("{}", text); }

}  // namespace shoal::daemon
