// SPDX-License-Identifier: MIT
// life_lock.h: a process is alive while one byte of the life file is locked for it: an open-file-description lock, kept
// by a mapping of the file with MADV_DONTFORK and the descriptor closed. close_range() of a daemonizer cannot drop it,
// a forked child does not inherit it, PID namespaces do not matter.
//
// A filesystem whose mappings do not keep the open file (overlayfs: the writable layer of a container) drops the lock
// with the descriptor. take() looks, and refuses with kUnsupported instead of handing out a lock that nobody sees.
// Dies at any line: the kernel drops mapping and descriptor, and the byte is free.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "segment/life_file.h"

namespace shoal {

class LifeLock {
 public:
  // Locks byte `index` + 1 (byte 0 is never used: other programs like it). kBusy if somebody lives there; kRemoved if
  // the file at `life_path` is not `expected`.
  static Result<LifeLock> take(const std::string& life_path, uint32_t index, FileIdentity expected = {});
  LifeLock() = default;  // holds nothing
  LifeLock(LifeLock&& other) noexcept { *this = static_cast<LifeLock&&>(other); }
  LifeLock& operator=(LifeLock&& other) noexcept;
  ~LifeLock() { drop(); }

  // Lets the byte fall free. In a forked child the mapping is the parent's and is not there: only forgotten.
  void drop() noexcept;

 private:
  void* page_ = nullptr;
  uint64_t nonce_ = 0;  // of the process that took it
};

// Whether somebody, this process included, holds byte `index` + 1. True if that cannot be found out, or if the file is
// not `expected`: nobody is declared dead on a failed look.
bool life_byte_held(const std::string& life_path, uint32_t index, FileIdentity expected = {}) noexcept;

// The same for many bytes at the cost of one open; keeps those of `indexes` that nobody holds.
void keep_free_bytes(const std::string& life_path, std::vector<uint32_t>& indexes, FileIdentity expected = {}) noexcept;

}  // namespace shoal
