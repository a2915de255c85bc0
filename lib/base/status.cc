// SPDX-License-Identifier: MIT
#include "base/status.h"

#include <cerrno>
#include <cstring>

namespace shoal {

Status system_error(const char* what, int errnum) noexcept {
  switch (errnum) {
    case ENOSPC:
      return {Code::kFull, what, errnum};
    case EACCES:
    case EPERM:
      return {Code::kPermission, what, errnum};
    case ENOENT:
      return {Code::kNotFound, what, errnum};
    case EEXIST:
      return {Code::kExists, what, errnum};
    default:
      return {Code::kSystem, what, errnum};
  }
}

std::string describe(const Status& status) {
  std::string text = status.text();
  switch (status.code()) {
    case Code::kSystem:
    case Code::kPermission:
    case Code::kNotFound:
    case Code::kExists:
      if (status.number() != 0) text += std::string(": ") + std::strerror(static_cast<int>(status.number()));
      break;
    case Code::kHolderStopped:
      text += " (holder: pid " + std::to_string(status.number()) + ")";
      break;
    default:
      if (status.number() != 0) text += " (" + std::to_string(status.number()) + ")";
  }
  return text;
}

}  // namespace shoal
