// SPDX-License-Identifier: MIT
// states.h: the cases of cases.h again, from other states of the world than their own.
#pragma once

#include <string>
#include <vector>

#include "crash/cases.h"

namespace shoal::crash {

// Each case as it is, but
//   in EXEC                     the operation is a transaction's command
//   on an expired key           its first key's time has come, and nobody has removed it yet
//   beside a lazy free          the shards have values to free, which whoever writes has a share in
//   in a table about to grow    the next new key doubles it
//   in reused blocks            freed blocks of all small classes lie about
//   on another type             its first key holds something else
// Cases that cannot be put into a state are left out of it. Operations may be refused here. What stands behind a
// command's name is taken for its first key, also where it is none (BITOP): then the case is what it was.
const std::vector<Case>& cases_in_other_states();

}  // namespace shoal::crash
