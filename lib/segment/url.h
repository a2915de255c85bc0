// SPDX-License-Identifier: MIT
// url.h: the one grammar of `shoal://NAME[/DB][?option=value&...]`, for C++ programs, the daemon and the tool.
// `shoal:///NAME` is the same, a plain NAME too; the case of NAME is kept. What an option means is its reader's
// business.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "segment/name.h"

namespace shoal {

struct SegmentUrl {
  SegmentName name;
  uint32_t database = 0;
  std::vector<std::pair<std::string, std::string>> options;

  static Result<SegmentUrl> parse(const std::string& text);
};

}  // namespace shoal
