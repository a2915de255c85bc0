// SPDX-License-Identifier: MIT
// slots.h: who else is in a segment.
#pragma once

#include <vector>

#include "process/process.h"

namespace shoal {

// The slots that are not free, but for this process's own.
inline std::vector<uint32_t> slots_of_others(Process& process) {
  std::vector<uint32_t> others;
  const Segment& segment = process.segment();
  for (uint32_t index = 0; index < segment.slot_count(); ++index) {
    const bool used = segment.slot(index).state.load() != static_cast<uint32_t>(shm::SlotState::kFree);
    if (used && index != process.slot_index()) others.push_back(index);
  }
  return others;
}

}  // namespace shoal
