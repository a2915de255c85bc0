// SPDX-License-Identifier: MIT
#include "types/type_table.h"

#include "types/hash.h"
#include "types/list.h"
#include "types/set.h"
#include "types/sorted_set.h"
#include "types/string.h"

namespace shoal {

namespace {

// In the order of Type; nullptr = not built yet.
constexpr const TypeRow* kRows[kTypeCount] = {
    &string::kRow, &list::kRow, &set::kRow, &sorted_set::kRow, &hash::kRow, nullptr,
};

}  // namespace

const TypeRow* type_row(Type type) noexcept {
  const auto index = static_cast<uint32_t>(type);
  return index < kTypeCount ? kRows[index] : nullptr;
}

}  // namespace shoal
