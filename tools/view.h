// SPDX-License-Identifier: MIT
// view.h: a segment mapped read-only, without joining it: no slot, no life byte, no lock, nothing created. It works on
// a segment that is damaged, of another layout, or whose processes hang; what is read may be in the middle of a change.
// Only `open` says whether the map can be trusted: with a `problem` the header is all that may be looked at.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "segment/segment.h"

namespace shoal::tool {

class SegmentView {
 public:
  // kNotFound, kPermission, kSystem. A file that is no segment opens too, with a problem.
  static Result<SegmentView> open(const SegmentName& name);
  SegmentView(SegmentView&&) noexcept;
  SegmentView& operator=(SegmentView&&) = delete;
  ~SegmentView();

  const SegmentName& name() const noexcept { return name_; }
  uint64_t file_bytes() const noexcept { return file_bytes_; }
  uint64_t physical_bytes() const noexcept { return physical_bytes_; }
  uint32_t owner_uid() const noexcept { return owner_uid_; }
  uint32_t mode() const noexcept { return mode_; }
  // Why the segment cannot be read, if so.
  const std::optional<std::string>& problem() const noexcept { return problem_; }
  // Only without a problem.
  const Segment& segment() const noexcept { return *segment_; }
  bool slot_alive(uint32_t index) const noexcept;
  // Slots that are marked used, alive or not.
  std::vector<uint32_t> used_slots() const;

 private:
  explicit SegmentView(const SegmentName& name) : name_(name) {}
  std::optional<std::string> find_problem() const;

  SegmentName name_;
  std::byte* base_ = nullptr;
  uint64_t file_bytes_ = 0, physical_bytes_ = 0;
  uint32_t owner_uid_ = 0, mode_ = 0;
  std::optional<std::string> problem_;
  std::unique_ptr<Segment> segment_;
};

// Names of all segments on this host that this user may see, sorted.
std::vector<SegmentName> all_segments();

}  // namespace shoal::tool
