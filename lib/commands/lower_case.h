// SPDX-License-Identifier: MIT
// lower_case.h: names as Redis writes them in messages and compares them: ASCII only, whatever the locale.
#pragma once

#include <string>

#include "base/bytes.h"

namespace shoal {

inline std::string lower_case(Bytes text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  return result;
}

}  // namespace shoal
