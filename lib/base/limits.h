// SPDX-License-Identifier: MIT
// limits.h: every bound in one place, with its unit in its name. Those that shape the layout are defaults: the header
// of a segment holds the values it was created with, so tests run on tiny segments.
#pragma once

#include <cstdint>

namespace shoal {

inline constexpr uint64_t kKiB = 1024, kMiB = 1024 * kKiB, kGiB = 1024 * kMiB;

// Layout, fixed at creation.
inline constexpr uint64_t kDefaultMaxSizeBytes = 1 * kGiB;
inline constexpr uint64_t kFirstCommitBytes = 4 * kMiB;  // fixed region and the first extents
inline constexpr uint32_t kDefaultShardCount = 64;
inline constexpr uint32_t kDefaultContextCount = 4096;
inline constexpr uint32_t kDefaultSlotCount = 1024;
inline constexpr uint32_t kReservedContextCount = 8;  // kept for attach and recovery
inline constexpr uint32_t kShardCountMax = 64;        // a lock set is one 64-bit mask
inline constexpr uint32_t kContextCountMax = 65535;   // 16 bits of a context id
inline constexpr uint64_t kMinMaxSizeBytes = 4 * kMiB;
inline constexpr uint64_t kMaxMaxSizeBytes = 256 * kGiB;  // 48-bit offsets allow more; nobody has tried
inline constexpr uint32_t kDefaultMode = 0600;

// Memory.
inline constexpr uint64_t kPageBytes = 4096;
inline constexpr uint64_t kExtentBytes = 1 * kMiB;
inline constexpr uint32_t kPagesPerExtent = kExtentBytes / kPageBytes;
inline constexpr uint32_t kFirstChunkPages = 1;          // a thread's first journal chunk
inline constexpr uint32_t kChunkPages = 16;              // its further ones: 64 KB
inline constexpr uint64_t kJournalBytesKept = 1 * kMiB;  // of them stay with the thread after a large transaction
inline constexpr uint32_t kReservedPages = 64;           // kept for journals, when all others are taken

// Keys and values.
inline constexpr uint32_t kDatabaseCount = 16;
inline constexpr uint64_t kNameBytesMax = 1'000'000;  // a key, a field, a member: it lies in one block
inline constexpr uint64_t kShortKeyBytesMax = 65534;  // what lock-free readers look for (types/type.h)
inline constexpr uint64_t kChannelNameBytesMax = 65535;
inline constexpr uint64_t kValueBytesMax = 512 * kMiB;

// Waiting.
inline constexpr int64_t kLockBudgetNs = 5'000'000'000;
inline constexpr int64_t kLoopLockBudgetNs = 200'000;
inline constexpr int64_t kLockSpinNs = 1'000;
inline constexpr int64_t kThreadSleepMaxNs = 250'000'000;  // a sleeping thread looks at its sources at least so often
inline constexpr int64_t kCreationBudgetNs = 30'000'000'000;  // for another process that creates or opens the segment
inline constexpr int64_t kCreationPauseNs = 100'000, kCreationPauseMaxNs = 10'000'000;
inline constexpr uint32_t kReadTriesMax = 16;
inline constexpr uint32_t kTraversalStepsMax = 4096;  // an optimistic reader's patience with a chain

}  // namespace shoal
