// SPDX-License-Identifier: MIT
#include "segment/life_file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

namespace shoal {

FileIdentity file_identity(int fd) noexcept {
  struct stat info {};
  return ::fstat(fd, &info) == 0 ? FileIdentity{info.st_dev, info.st_ino} : FileIdentity{};
}

FileIdentity file_identity(const std::string& path) noexcept {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 ? FileIdentity{info.st_dev, info.st_ino} : FileIdentity{};
}

FileIdentity recorded_life_file(const shm::Header& header) noexcept {
  return {header.life_device.load(std::memory_order_acquire), header.life_inode.load(std::memory_order_acquire)};
}

void record_life_file(shm::Header& header, const std::string& runtime_dir, FileIdentity identity) noexcept {
  std::memset(header.runtime_dir, 0, sizeof header.runtime_dir);
  if (runtime_dir.size() < sizeof header.runtime_dir) {
    std::memcpy(header.runtime_dir, runtime_dir.data(), runtime_dir.size());
  }
  header.life_device.store(identity.device, std::memory_order_release);
  header.life_inode.store(identity.inode, std::memory_order_release);
}

std::string recorded_runtime_dir(const shm::Header& header) {
  const FileIdentity recorded = recorded_life_file(header);
  std::string directory(header.runtime_dir, ::strnlen(header.runtime_dir, sizeof header.runtime_dir));
  if (!recorded || directory.empty() || file_identity(directory + "/life") != recorded) directory.clear();
  return directory;
}

std::string recorded_runtime_dir(const std::string& shm_path) {
  const int fd = ::open(shm_path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return {};
  auto header = std::make_unique<shm::Header>();
  const bool whole = ::pread(fd, static_cast<void*>(header.get()), sizeof *header, 0) == sizeof *header;
  ::close(fd);
  const bool known = whole && header->magic == shm::kMagic && header->layout_version == shm::kLayoutVersion &&
                     header->abi_hash == shm::abi_hash();
  return known ? recorded_runtime_dir(*header) : std::string();
}

uint64_t own_pid_namespace() noexcept {
  struct stat info {};
  return ::stat("/proc/self/ns/pid", &info) == 0 ? info.st_ino : 0;
}

uint32_t process_left(std::span<const shm::Slot> slots) noexcept {
  const uint64_t ours = own_pid_namespace();
  for (const shm::Slot& slot : slots) {
    if (slot.state.load(std::memory_order_acquire) == static_cast<uint32_t>(shm::SlotState::kFree)) continue;
    if (ours == 0 || slot.pid_namespace != ours) return slot.pid;  // cannot be told from here
    if (::kill(static_cast<pid_t>(slot.pid), 0) == 0 || errno != ESRCH) return slot.pid;
  }
  return 0;
}

}  // namespace shoal
