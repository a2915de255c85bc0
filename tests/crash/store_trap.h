// SPDX-License-Identifier: MIT
// store_trap.h: stops a piece of code after every instruction that stores into a region of memory. x86-64 only.
//
// The region is write-protected. A store faults; the handler opens the region and sets the trap flag, so that the one
// instruction runs (a string instruction: one of its rounds) and traps; then the callback sees memory as a death behind
// that instruction would leave it. Instructions that store nothing cost nothing.
//
// Traps nest: a callback may run other code under a trap on another region. One thread at a time; the callback runs on
// the stack of the code it stopped, with its own region open, and must leave the thread's state as it found it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

namespace shoal::crash {

class StoreTrap {
 public:
  StoreTrap(std::byte* base, size_t bytes) noexcept : base_(base), bytes_(bytes) {}
  StoreTrap(const StoreTrap&) = delete;
  StoreTrap& operator=(const StoreTrap&) = delete;

  // Runs `code`; after every storing instruction calls `stored(step)`, counted from 1. How many there were.
  uint64_t run(const std::function<void()>& code, std::function<void(uint64_t step)> stored);
  // Before the store of a step is made; for killing at the step before it.
  std::function<void(uint64_t step)> about_to_store;
  // Of a page (its offset in the region) that may be stored into without being stopped, as long as this says so.
  std::function<bool(uint64_t page)> free_to_store;

  uintptr_t instruction() const noexcept { return instruction_; }  // of the last store
  uint64_t offset() const noexcept { return offset_; }             // in the region, of its first byte that faulted
  bool covers(uintptr_t address) const noexcept {
    const auto base = reinterpret_cast<uintptr_t>(base_);
    return armed_ && address >= base && address < base + bytes_;
  }
  // For who is about to be killed: in a build that counts (scripts/unswept.py) what ran under the outermost trap so far
  // is kept, as run() does at its end.
  static void keep_counts() noexcept;
  // The handlers' two halves. skip(): a page that is free to be stored into is opened, and that is all.
  bool skip(uintptr_t address);
  void open(uintptr_t instruction, uintptr_t address) noexcept;
  void close() noexcept;

 private:
  static void begin_to_count() noexcept;
  void protect(int protection) noexcept { protect(0, bytes_, protection); }
  void protect(uint64_t offset, size_t bytes, int protection) noexcept;

  std::byte* base_;
  size_t bytes_;
  std::function<void(uint64_t)> stored_;
  std::vector<uint64_t> skipped_;  // pages
  uint64_t steps_ = 0;
  uintptr_t instruction_ = 0;
  uint64_t offset_ = 0;
  bool armed_ = false;
};

}  // namespace shoal::crash
