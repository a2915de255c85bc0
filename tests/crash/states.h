// SPDX-License-Identifier: MIT
// states.h: the cases of cases.h again, from other states of the world than their own.
#pragma once

#include <string>
#include <vector>

#include "crash/cases.h"

namespace shoal::crash {

// Each case as it is, but
//   in EXEC                     the operation is a transaction's command
//   on an expired key           the time of a key of its own has come, and nobody has removed it yet
//   beside a lazy free          each shard has a value to free, which whoever writes there has a share in
//   in a table about to grow    the next new key, of whichever shard, splits a bucket
//   in reused blocks            freed blocks of all small classes lie about
//   among colliding keys        seven others of its tag lie in the bucket, or its chain, of each of its first two keys
//   on another type             its first key holds something else
// Cases that cannot be put into a state are left out of it. Operations may be refused here.
const std::vector<Case>& cases_in_other_states();

}  // namespace shoal::crash
