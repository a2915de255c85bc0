// SPDX-License-Identifier: MIT
// hash.h: the one hash of keys, fields and members: XXH3 (the xxHash library) seeded by the segment, so every process
// computes the same value and nobody outside can choose colliding keys.
//
//   63..58 shard   47..32 tag in a bucket slot   31..0 bucket (read from bit 0 up)
#pragma once

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstdint>
#include <string_view>

namespace shoal {

inline uint64_t hash_bytes(std::string_view bytes, uint64_t seed) noexcept {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

inline uint16_t hash_tag(uint64_t hash) noexcept { return static_cast<uint16_t>(hash >> 32); }

}  // namespace shoal
