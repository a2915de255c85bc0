// SPDX-License-Identifier: MIT
// segment_file.h: the file of a segment as it was at a moment, to be put back: whoever came later was never there.
// Nobody may have it mapped meanwhile who counts on what he stored.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <stdexcept>
#include <vector>

#include "base/limits.h"
#include "segment/name.h"

namespace shoal::crash {

class SegmentFile {
 public:
  explicit SegmentFile(const SegmentName& name) : file_(::shm_open(name.shm_name().c_str(), O_RDWR, 0)) {
    struct stat status {};
    if (file_ < 0 || ::fstat(file_, &status) != 0) throw std::runtime_error("the segment's file cannot be opened");
    saved_.resize(static_cast<size_t>(status.st_size));
    now_.resize(saved_.size());
    read(saved_);
  }
  ~SegmentFile() { ::close(file_); }
  SegmentFile(const SegmentFile&) = delete;
  SegmentFile& operator=(const SegmentFile&) = delete;

  // Writes the pages that differ: what is a hole stays one.
  void put_back() {
    read(now_);
    for (size_t page = 0; page < saved_.size(); page += kPageBytes) {
      if (std::memcmp(&saved_[page], &now_[page], kPageBytes) == 0) continue;
      if (::pwrite(file_, &saved_[page], kPageBytes, static_cast<off_t>(page)) != static_cast<ssize_t>(kPageBytes))
        throw std::runtime_error("the segment's file cannot be written");
    }
  }

 private:
  void read(std::vector<std::byte>& bytes) const {
    if (::pread(file_, bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
      throw std::runtime_error("the segment's file cannot be read");
  }

  const int file_;
  std::vector<std::byte> saved_, now_;
};

}  // namespace shoal::crash
