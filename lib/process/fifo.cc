// SPDX-License-Identifier: MIT
#include "process/fifo.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

namespace shoal {

FifoPath::FifoPath(const Segment& segment, uint32_t context_id) noexcept {
  text[0] = '\0';
  if (segment.in_memory()) return;
  const int length = std::snprintf(text, sizeof text, "%s/wake.%u.%u", segment.name().runtime_dir().c_str(),
                                   shm::context_index(context_id), context_id >> shm::kContextIndexBits);
  if (length < 0 || length >= static_cast<int>(sizeof text)) text[0] = '\0';
}

int open_fifo(const Segment& segment, uint32_t context_id, bool create) noexcept {
  const FifoPath path(segment, context_id);
  if (!path.fits()) {
    errno = ENAMETOOLONG;
    return -1;
  }
  if (create && ::mkfifo(path.text, 0600) != 0 && errno != EEXIST) return -1;
  return ::open(path.text, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
}

void remove_fifo(const Segment& segment, uint32_t context_id) noexcept {
  const FifoPath path(segment, context_id);
  if (path.fits()) ::unlink(path.text);
}

bool FifoHandle::remember(int opened) noexcept {
  struct stat info {};
  if (opened < 0 || ::fstat(opened, &info) != 0 || !S_ISFIFO(info.st_mode)) {
    if (opened >= 0) ::close(opened);
    fd = -1;
    return false;
  }
  fd = opened;
  device = info.st_dev;
  inode = info.st_ino;
  return true;
}

bool FifoHandle::still_ours() const noexcept {
  struct stat info {};
  return fd >= 0 && ::fstat(fd, &info) == 0 && S_ISFIFO(info.st_mode) && info.st_dev == device && info.st_ino == inode;
}

void FifoHandle::close() noexcept {
  if (still_ours()) ::close(fd);
  fd = -1;
}

FifoCache::FifoCache(uint32_t context_count)
    : chunks_((context_count + kChunkEntries - 1) / kChunkEntries), nonce_(fork_nonce()) {}

FifoCache::~FifoCache() {
  close_all();
  for (std::atomic<Entry*>& chunk : chunks_) delete[] chunk.load();
}

FifoCache::Entry& FifoCache::entry(uint32_t context_index) {
  std::atomic<Entry*>& chunk = chunks_[context_index / kChunkEntries];
  Entry* known = chunk.load(std::memory_order_acquire);
  if (known == nullptr) {
    auto* fresh = new Entry[kChunkEntries];
    if (chunk.compare_exchange_strong(known, fresh, std::memory_order_acq_rel)) {
      known = fresh;
    } else {
      delete[] fresh;
    }
  }
  return known[context_index % kChunkEntries];
}

void FifoCache::close_all() noexcept {
  for (std::atomic<Entry*>& chunk : chunks_) {
    Entry* entries = chunk.load(std::memory_order_acquire);
    for (uint32_t each = 0; entries != nullptr && each < kChunkEntries; ++each) {
      entries[each].lock.lock();
      entries[each].handle.close();
      entries[each].context_id = 0;
      entries[each].lock.unlock();
    }
  }
}

void FifoCache::close_inherited() noexcept {
  uint64_t seen = nonce_.load(std::memory_order_acquire);
  if (seen == fork_nonce()) return;
  if (nonce_.compare_exchange_strong(seen, fork_nonce(), std::memory_order_acq_rel)) close_all();
}

bool FifoCache::ring(const Segment& segment, uint32_t context_id) noexcept {
  close_inherited();
  Entry& entry = this->entry(shm::context_index(context_id));
  for (bool retried = false;; retried = true) {
    entry.lock.lock();
    if (entry.context_id != context_id || !entry.handle.still_ours()) {
      entry.handle.close();
      entry.context_id = entry.handle.remember(open_fifo(segment, context_id, false)) ? context_id : 0;
    }
    const int open_error = errno;
    bool rung = false;
    if (entry.context_id == context_id) {
      const char byte = 1;
      rung = ::write(entry.handle.fd, &byte, 1) == 1 || errno == EAGAIN;
    }
    entry.lock.unlock();
    if (rung || retried || (open_error != EMFILE && open_error != ENFILE)) return rung;
    close_all();  // no descriptor left: those that we keep are the ones we may give back
  }
}

}  // namespace shoal
