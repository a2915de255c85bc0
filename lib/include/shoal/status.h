// SPDX-License-Identifier: MIT
// status.h: Code, Status, Result<T> and describe(status), which the public face shares with the library.
#pragma once

#include "base/status.h"  // IWYU pragma: export
