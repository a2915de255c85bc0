// SPDX-License-Identifier: MIT
#include "process/life_lock.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/fork_gate.h"
#include "base/limits.h"
#include "process/fork_guard.h"

namespace shoal {

namespace {

class File {
 public:
  explicit File(const std::string& path, int flags) noexcept : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0600)) {}
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int fd() const noexcept { return fd_; }
  void close() noexcept { ::close(std::exchange(fd_, -1)); }

 private:
  int fd_;
};

struct flock byte_lock(uint32_t index) noexcept {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = off_t{index} + 1;
  lock.l_len = 1;
  return lock;
}

bool held(int fd, uint32_t index) noexcept {
  struct flock probe = byte_lock(index);
  return ::fcntl(fd, F_OFD_GETLK, &probe) != 0 || probe.l_type != F_UNLCK;
}

bool is(const File& file, FileIdentity expected) noexcept {
  return file.fd() >= 0 && (!expected || file_identity(file.fd()) == expected);
}

}  // namespace

Result<LifeLock> LifeLock::take(const std::string& life_path, uint32_t index, FileIdentity expected) {
  // A child forked from here on would have the descriptor, then the mapping without MADV_DONTFORK: this process's life.
  const NoFork whole;
  File file(life_path, O_RDWR | (expected ? 0 : O_CREAT));
  if (file.fd() < 0) return system_error("open the life file", errno);
  if (!is(file, expected)) return Status{Code::kRemoved, "the life file of the segment was replaced"};
  struct flock lock = byte_lock(index);
  if (::fcntl(file.fd(), F_OFD_SETLK, &lock) != 0) {
    if (errno == EAGAIN || errno == EACCES) return Status{Code::kBusy, "somebody lives in this slot"};
    if (errno == EINVAL) return Status{Code::kUnsupported, "the kernel has no open-file-description locks"};
    return system_error("lock a byte of the life file", errno);
  }
  // The mapping is never read: it only keeps the open file, and with it the lock.
  void* page = ::mmap(nullptr, kPageBytes, PROT_NONE, MAP_SHARED, file.fd(), 0);
  if (page == MAP_FAILED) return system_error("map the life file", errno);
  LifeLock result;
  result.page_ = page;
  result.nonce_ = fork_nonce();
  if (::madvise(page, kPageBytes, MADV_DONTFORK) != 0) return system_error("keep the life file from children", errno);
  const FileIdentity identity = file_identity(file.fd());
  file.close();
  if (file_identity(life_path) != identity) return Status{Code::kRemoved, "the life file was removed meanwhile"};
  if (!life_byte_held(life_path, index)) {
    return Status{
        Code::kUnsupported,
        "the runtime directory lies on a filesystem (overlayfs?) that forgets locks; set SHOAL_RUNTIME_DIR to one "
        "on tmpfs or on a disk"};
  }
  return result;
}

LifeLock& LifeLock::operator=(LifeLock&& other) noexcept {
  if (this != &other) {
    drop();
    page_ = std::exchange(other.page_, nullptr);
    nonce_ = other.nonce_;
  }
  return *this;
}

void LifeLock::drop() noexcept {
  if (page_ != nullptr && nonce_ == fork_nonce()) ::munmap(page_, kPageBytes);
  page_ = nullptr;
}

bool life_byte_held(const std::string& life_path, uint32_t index, FileIdentity expected) noexcept {
  const File file(life_path, O_RDWR);
  return !is(file, expected) || held(file.fd(), index);
}

void keep_free_bytes(const std::string& life_path, std::vector<uint32_t>& indexes, FileIdentity expected) noexcept {
  if (indexes.empty()) return;
  const File file(life_path, O_RDWR);
  const bool right = is(file, expected);
  std::erase_if(indexes, [&](uint32_t index) { return !right || held(file.fd(), index); });
}

}  // namespace shoal
