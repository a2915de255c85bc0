// SPDX-License-Identifier: MIT
// log.h: the daemon's log. One file knows the library that writes it.
#pragma once

#include <string>

#include "base/status.h"

namespace shoal::daemon {

// `level` by its name; an empty file is standard error. Without it nothing below info is written.
Status open_log(const std::string& level, const std::string& file);

void log_debug(const std::string& text);
void log_info(const std::string& text);
void log_warning(const std::string& text);
void log_error(const std::string& text);

}  // namespace shoal::daemon
