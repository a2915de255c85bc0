// SPDX-License-Identifier: MIT
// glob.h: the patterns of KEYS, SCAN MATCH and PSUBSCRIBE: * ? [abc] [^a-z] and \x for x itself. As in Redis: a class
// that is not closed ends with the pattern, a range may be given backwards. Linear in both but for patterns of several
// stars, there at most their product.
#pragma once

#include "base/bytes.h"

namespace shoal {

bool glob_match(Bytes pattern, Bytes text, bool ignore_case = false) noexcept;

}  // namespace shoal
