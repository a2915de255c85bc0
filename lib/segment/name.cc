// SPDX-License-Identifier: MIT
#include "segment/name.h"

#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "segment/life_file.h"

namespace shoal {

namespace {

// A mapping on overlayfs (a container's own layer) does not keep the open file, and so not the lock that says that we
// live.
bool keeps_locks(const char* directory) {
  struct statfs info {};
  return ::statfs(directory, &info) != 0 || info.f_type != OVERLAYFS_SUPER_MAGIC;
}

std::string runtime_root() {
  if (const char* own = std::getenv("SHOAL_RUNTIME_DIR"); own != nullptr && *own != '\0') return own;
  if (const char* xdg = std::getenv("XDG_RUNTIME_DIR"); xdg != nullptr && *xdg != '\0') {
    struct stat info {};
    if (::stat(xdg, &info) == 0 && info.st_uid == ::geteuid() && keeps_locks(xdg)) return std::string(xdg) + "/shoal";
  }
  const char* base = keeps_locks("/tmp") ? "/tmp/shoal-" : "/dev/shm/shoal-runtime-";
  return base + std::to_string(::geteuid());
}

Status make_private_dir(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return system_error("create runtime directory", errno);
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return system_error("look at runtime directory", errno);
  if (!S_ISDIR(info.st_mode) || (info.st_uid != ::geteuid() && ::geteuid() != 0)) {
    return {Code::kPermission, "the runtime directory belongs to another user; set SHOAL_RUNTIME_DIR", EPERM};
  }
  return {};
}

bool valid(const std::string& name) {
  if (name.empty() || name.size() > 64 || name[0] == '.') return false;
  for (char c : name) {
    const bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!word && c != '_' && c != '-' && c != '.') return false;
  }
  return true;
}

}  // namespace

Result<SegmentName> SegmentName::parse(const std::string& name) {
  if (!valid(name)) {
    return Status{Code::kInvalidArgument, "bad segment name: 1 to 64 of A-Z a-z 0-9 _ - . , not beginning with a dot"};
  }
  SegmentName result;
  result.name_ = name;
  result.runtime_dir_ = recorded_runtime_dir(result.shm_path());
  if (result.runtime_dir_.empty()) result.runtime_dir_ = runtime_root() + "/" + name;
  return result;
}

Status SegmentName::make_runtime_dir() const {
  const std::string root = runtime_dir_.substr(0, runtime_dir_.rfind('/'));
  if (Status status = make_private_dir(root); !status.ok()) return status;
  return make_private_dir(runtime_dir_);
}

}  // namespace shoal
