// SPDX-License-Identifier: MIT
#include "commands/expiry_args.h"

#include <string>

namespace shoal {

namespace {
void answer_invalid(Call& call) noexcept {
  std::string name = call.command().name;
  for (char& c : name) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  call.error("ERR invalid expire time in '" + name + "' command");
}
}  // namespace

bool is_expiry_option(Call& call, size_t argument, bool& seconds, bool& absolute) noexcept {
  absolute = call.arg_is(argument, "EXAT") || call.arg_is(argument, "PXAT");
  seconds = call.arg_is(argument, "EX") || call.arg_is(argument, "EXAT");
  return seconds || absolute || call.arg_is(argument, "PX");
}

bool expiry_arg(Call& call, size_t argument, bool seconds, bool absolute, int64_t& expires_ms) noexcept {
  int64_t value = 0;
  if (!call.integer_arg(argument, value)) return false;
  const bool positive_only = call.command().group == Group::kString;
  if ((positive_only && value <= 0) || (seconds && __builtin_mul_overflow(value, int64_t{1000}, &value)) ||
      (!absolute && __builtin_add_overflow(value, call.now_ms(), &value))) {
    answer_invalid(call);
    return false;
  }
  expires_ms = value;
  return true;
}

}  // namespace shoal
