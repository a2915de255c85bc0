// SPDX-License-Identifier: MIT
// size_class.h: the sizes that blocks come in. Steps of 8 up to 128, then four to eight steps a doubling: at most an
// eighth of a block is lost. Above 4096 a block is a span of whole pages of its own.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "segment/layout.h"

namespace shoal {

inline constexpr uint32_t kSmallBlockMax = 4096;
inline constexpr uint64_t kBlockMax = uint64_t{shm::kSpanPagesMax} * kPageBytes;

inline constexpr std::array<uint16_t, 43> kClassBytes = [] {
  std::array<uint16_t, 43> sizes{};
  uint32_t count = 0;
  for (uint32_t size = 16; size <= 128; size += 8) sizes[count++] = static_cast<uint16_t>(size);
  for (uint32_t size = 144; size <= 256; size += 16) sizes[count++] = static_cast<uint16_t>(size);
  for (uint32_t size = 288; size <= 512; size += 32) sizes[count++] = static_cast<uint16_t>(size);
  for (uint32_t step = 128; step <= 512; step *= 2) {
    for (uint32_t size = step * 5; size <= step * 8; size += step) sizes[count++] = static_cast<uint16_t>(size);
  }
  return sizes;
}();
static_assert(kClassBytes.size() <= shm::kClassCount && kClassBytes.back() == kSmallBlockMax);

// The class of a block of `bytes` <= kSmallBlockMax.
constexpr uint32_t size_class(uint64_t bytes) noexcept {
  if (bytes <= 16) return 0;
  if (bytes <= 128) return static_cast<uint32_t>((bytes + 7) / 8 - 2);
  if (bytes <= 256) return static_cast<uint32_t>(15 + (bytes - 128 + 15) / 16 - 1);
  if (bytes <= 512) return static_cast<uint32_t>(23 + (bytes - 256 + 31) / 32 - 1);
  const uint32_t doubling =
      static_cast<uint32_t>(std::bit_width(bytes - 1)) - 10;  // 0: to 1024, 1: to 2048, 2: to 4096
  const uint64_t base = uint64_t{512} << doubling, step = base / 4;
  return static_cast<uint32_t>(31 + doubling * 4 + (bytes - base + step - 1) / step - 1);
}
static_assert([] {
  for (uint32_t bytes = 1; bytes <= kSmallBlockMax; ++bytes) {
    const uint32_t c = size_class(bytes);
    if (c >= kClassBytes.size() || kClassBytes[c] < bytes || (c > 0 && kClassBytes[c - 1] >= bytes)) return false;
  }
  return true;
}());

// Pages of a span that is cut into blocks of this class, and how many blocks that gives.
constexpr uint32_t class_pages(uint32_t c) noexcept { return kClassBytes[c] <= 1024 ? 1 : 4; }
constexpr uint32_t class_blocks(uint32_t c) noexcept {
  return static_cast<uint32_t>(class_pages(c) * kPageBytes / kClassBytes[c]);
}

}  // namespace shoal
