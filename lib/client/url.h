// SPDX-License-Identifier: MIT
// url.h: shoal://NAME[/DB][?option=value...], the same grammar as python/shoal/_url.py.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "segment/segment.h"

namespace shoal {

struct Url {
  std::string name;
  uint32_t database = 0;
  bool create = true;
  bool daemon = true;  // start one if none serves
  SegmentOptions options;

  // kInvalidArgument: the text says which part is wrong.
  static Result<Url> parse(std::string_view text);
};

}  // namespace shoal
