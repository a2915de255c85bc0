// SPDX-License-Identifier: MIT
#include "commands/family.h"

#include "types/set.h"

namespace shoal {

bool refuse_long(Call& call, size_t argument) noexcept {
  if (call.arg(argument).size() <= kNameBytesMax) return false;
  call.error("ERR a member or field may have at most 1000000 bytes");
  return true;
}

bool scan_cursor(Call& call, ScanArguments& scan) noexcept {
  const Bytes text = call.arg(2);
  uint64_t cursor = 0;
  bool good = !text.empty() && text.size() <= 20;
  for (char c : text) {
    good = good && c >= '0' && c <= '9';
    cursor = cursor * 10 + static_cast<uint64_t>(c - '0');
  }
  if (!good) return call.error("ERR invalid cursor"), false;
  scan.cursor = static_cast<uint32_t>(cursor);
  return true;
}

bool scan_options(Call& call, ScanArguments& scan) noexcept {
  for (size_t i = 3; i < call.argc(); i += 2) {
    if (i + 1 >= call.argc()) return call.error(kSyntaxError), false;
    if (call.arg_is(i, "COUNT")) {
      if (!call.integer_arg(i + 1, scan.count)) return false;
      if (scan.count < 1) return call.error(kSyntaxError), false;
    } else if (call.arg_is(i, "MATCH")) {
      scan.pattern = call.arg(i + 1);
    } else {
      return call.error(kSyntaxError), false;
    }
  }
  return true;
}

bool random_arguments(Call& call, const char* values_word, RandomArguments& arguments) noexcept {
  if (call.argc() == 2) return true;
  arguments.many = true;
  if (values_word == nullptr && call.argc() > 3) return call.error(kSyntaxError), false;
  if (!call.integer_arg(2, arguments.count)) return false;
  if (arguments.count == INT64_MIN) {
    call.error("ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807");
    return false;
  }
  if (call.argc() > 4 || (call.argc() == 4 && (values_word == nullptr || !call.arg_is(3, values_word)))) {
    return call.error(kSyntaxError), false;
  }
  arguments.with_values = call.argc() == 4;
  if (arguments.with_values && (arguments.count < -INT64_MAX / 2 || arguments.count > INT64_MAX / 2)) {
    return call.error("ERR value is out of range"), false;
  }
  return true;
}

}  // namespace shoal
