// SPDX-License-Identifier: MIT
// life_file.h: which life file the processes of a segment are alive by.
//
// Whoever looks at another life file than the others takes them all for dead. A login shell and a cron job have
// different runtime directories; a cleaner of temporary files, or the end of a login, takes one away. So the segment's
// header says which file it is (device and inode) and in which directory it was, and:
//   the file is where the header says      that is the runtime directory, whatever our environment says
//   it is gone or out of our sight         we record our own, but only if nobody can be left in the segment: every used
//                                          slot names a process of our PID namespace that does not exist any more
// Recorded by the creator before the segment is ready, or under the creation lock. Dies at any line: identity and
// directory may be of two files; that counts as a file out of sight.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/status.h"
#include "segment/layout.h"

namespace shoal {

struct FileIdentity {
  uint64_t device = 0, inode = 0;
  bool operator==(const FileIdentity&) const noexcept = default;
  explicit operator bool() const noexcept { return inode != 0; }
};
FileIdentity file_identity(int fd) noexcept;  // none if it cannot be had
FileIdentity file_identity(const std::string& path) noexcept;

FileIdentity recorded_life_file(const shm::Header& header) noexcept;
void record_life_file(shm::Header& header, const std::string& runtime_dir, FileIdentity identity) noexcept;

// The runtime directory that a segment's header, or the header in a segment's file, names; empty if the life file is
// not there, or there is no such segment.
std::string recorded_runtime_dir(const shm::Header& header);
std::string recorded_runtime_dir(const std::string& shm_path);

// This process's PID namespace, 0 if /proc does not say.
uint64_t own_pid_namespace() noexcept;
// The pid of a process that a slot names and that may still exist, 0 if there is none.
uint32_t process_left(std::span<const shm::Slot> slots) noexcept;

}  // namespace shoal
