// SPDX-License-Identifier: MIT
// fifo.h: the FIFOs on which event loops sleep: RUNTIME_DIR/wake.INDEX.GENERATION, one a context, opened
// O_RDWR|O_NONBLOCK by both sides (O_WRONLY gives SIGPIPE or ENXIO when the reader is dead).
//
// Made by the sleeping context, kept until the context is given back, removed by it, by its recovery, or by the next
// claimer of the context. Dies at any line: at most one empty file a context is left behind.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <vector>

#include "base/status.h"
#include "process/fork_guard.h"
#include "segment/segment.h"

namespace shoal {

struct FifoPath {  // no allocation
  char text[512];
  FifoPath(const Segment& segment, uint32_t context_id) noexcept;
  bool fits() const noexcept { return text[0] != '\0'; }
};

// A descriptor of this context's FIFO, or -1 and errno. Nothing but a FIFO is opened.
int open_fifo(const Segment& segment, uint32_t context_id, bool create) noexcept;
void remove_fifo(const Segment& segment, uint32_t context_id) noexcept;

// A descriptor with the file that it stood for: somebody may have closed it behind our back (close_range) and the
// number may be another file's by now.
struct FifoHandle {
  int fd = -1;
  dev_t device = 0;
  ino_t inode = 0;

  bool remember(int opened) noexcept;  // false: no FIFO; closed
  bool still_ours() const noexcept;
  void close() noexcept;  // only if still ours
};

// The FIFOs that this process wakes, kept open: one place a context. Thread-safe. A forked child closes what it
// inherited when it first uses it.
class FifoCache {
 public:
  explicit FifoCache(uint32_t context_count);
  ~FifoCache();
  // Puts a byte into the FIFO of `context_id`. A full FIFO is success: its owner is being woken. False if there is
  // none.
  bool ring(const Segment& segment, uint32_t context_id) noexcept;

 private:
  struct Entry {
    ForkLock lock;
    uint32_t context_id = 0;
    FifoHandle handle;
  };
  static constexpr uint32_t kChunkEntries = 64;
  Entry& entry(uint32_t context_index);
  void close_all() noexcept;
  void close_inherited() noexcept;

  std::vector<std::atomic<Entry*>> chunks_;  // of kChunkEntries, made when first used
  std::atomic<uint64_t> nonce_;
};

}  // namespace shoal
