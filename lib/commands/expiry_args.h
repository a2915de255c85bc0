// SPDX-License-Identifier: MIT
// expiry_args.h: the times that commands take: EX, PX, EXAT, PXAT, and those of the EXPIRE family.
#pragma once

#include "commands/command.h"

namespace shoal {

// Reads `argument` as a time: seconds or milliseconds, from now or absolute. False: answered with Redis's text.
bool expiry_arg(Call& call, size_t argument, bool seconds, bool absolute, int64_t& expires_ms) noexcept;
// Reads one of EX PX EXAT PXAT at `argument` with its value behind it. False: it is none of them.
bool is_expiry_option(Call& call, size_t argument, bool& seconds, bool& absolute) noexcept;

}  // namespace shoal
