// SPDX-License-Identifier: MIT
// how_many.h: what the environment says of how much is to be tried.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <string>

namespace shoal::crash {

// The variable's number; "all" is as many as there are.
inline uint64_t how_many(const char* variable, uint64_t if_unsaid) {
  const char* said = std::getenv(variable);
  if (said == nullptr) return if_unsaid;
  return std::string(said) == "all" ? UINT64_MAX : std::stoull(said);
}

}  // namespace shoal::crash
