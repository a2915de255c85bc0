// SPDX-License-Identifier: MIT
#include "tools/view.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "process/life_lock.h"
#include "segment/shape.h"

namespace shoal::tool {

Result<SegmentView> SegmentView::open(const SegmentName& name) {
  const int fd = ::open(name.shm_path().c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0 && errno == ENOENT) return Status{Code::kNotFound, "there is no segment of this name"};
  if (fd < 0 && errno == EACCES) return Status{Code::kPermission, "the segment belongs to another user"};
  if (fd < 0) return system_error("open the segment", errno);
  SegmentView view(name);
  struct stat info {};
  ::fstat(fd, &info);
  view.file_bytes_ = static_cast<uint64_t>(info.st_size);
  view.physical_bytes_ = static_cast<uint64_t>(info.st_blocks) * 512;
  view.owner_uid_ = info.st_uid;
  view.mode_ = info.st_mode & 07777;
  void* memory = view.file_bytes_ < sizeof(shm::Header)
                     ? nullptr
                     : ::mmap(nullptr, view.file_bytes_, PROT_READ, MAP_SHARED | MAP_NORESERVE, fd, 0);
  const int error = errno;
  ::close(fd);
  if (memory == MAP_FAILED) return system_error("map the segment", error);
  view.base_ = static_cast<std::byte*>(memory);
  view.problem_ = view.find_problem();
  if (!view.problem_) view.segment_ = Segment::view_memory(view.base_);
  return view;
}

SegmentView::SegmentView(SegmentView&& other) noexcept
    : name_(std::move(other.name_)),
      base_(std::exchange(other.base_, nullptr)),
      file_bytes_(other.file_bytes_),
      physical_bytes_(other.physical_bytes_),
      owner_uid_(other.owner_uid_),
      mode_(other.mode_),
      problem_(std::move(other.problem_)),
      segment_(std::move(other.segment_)) {}

SegmentView::~SegmentView() {
  if (base_ != nullptr) ::munmap(base_, file_bytes_);
}

std::optional<std::string> SegmentView::find_problem() const {
  if (base_ == nullptr) return "unfinished: its creator died, or is at work";
  const auto& header = *reinterpret_cast<const shm::Header*>(base_);
  if (header.magic == 0) return "unfinished: its creator died, or is at work";
  if (header.magic != shm::kMagic) return "not a Shoal segment";
  if (header.layout_version != shm::kLayoutVersion) {
    return "layout version " + std::to_string(header.layout_version) + ", this program reads " +
           std::to_string(shm::kLayoutVersion);
  }
  if (header.abi_hash != shm::abi_hash()) return "made by a build with another memory layout";
  if (header.max_size != file_bytes_ || !shape_is_sound(header)) {
    return "the header is damaged";
  }
  const auto state = static_cast<shm::SegmentState>(header.state.load(std::memory_order_acquire));
  if (state == shm::SegmentState::kBuilding) return "unfinished: its creator died, or is at work";
  return std::nullopt;
}

bool SegmentView::slot_alive(uint32_t index) const noexcept { return life_byte_held(name_.life_path(), index); }

std::vector<uint32_t> SegmentView::used_slots() const {
  std::vector<uint32_t> used;
  for (uint32_t index = 0; index < segment_->slot_count(); ++index) {
    const auto state = segment_->slot(index).state.load(std::memory_order_acquire);
    if (state != static_cast<uint32_t>(shm::SlotState::kFree)) used.push_back(index);
  }
  return used;
}

std::vector<SegmentName> all_segments() {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/dev/shm", error)) {
    const std::string file = entry.path().filename().string();
    if (file.starts_with("shoal.") && entry.is_regular_file(error)) names.push_back(file.substr(6));
  }
  std::sort(names.begin(), names.end());
  std::vector<SegmentName> result;
  for (const std::string& text : names) {
    if (auto name = SegmentName::parse(text); name.ok()) result.push_back(name.value());
  }
  return result;
}

}  // namespace shoal::tool
