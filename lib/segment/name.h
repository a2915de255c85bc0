// SPDX-License-Identifier: MIT
// name.h: the name of a segment and the places that follow from it.
//
//   NAME           1 to 64 of A-Z a-z 0-9 _ - . , not beginning with a dot; case counts
//   segment        /dev/shm/shoal.NAME
//   runtime dir    the one that the segment recorded, else $SHOAL_RUNTIME_DIR/NAME, else $XDG_RUNTIME_DIR/shoal/NAME,
//                  else /tmp/shoal-UID/NAME, else (where /tmp is on overlayfs, which forgets the locks of life: in a
//                  container) /dev/shm/shoal-runtime-UID/NAME; mode 0700:
//                  the life file `life`, the FIFOs `wake.INDEX.GENERATION`, the daemon's socket `shoald.sock`
#pragma once

#include <string>

#include "base/status.h"

namespace shoal {

class SegmentName {
 public:
  static Result<SegmentName> parse(const std::string& name);

  const std::string& name() const noexcept { return name_; }
  std::string shm_name() const { return "shoal." + name_; }  // for shm_open
  std::string shm_path() const { return "/dev/shm/" + shm_name(); }
  const std::string& runtime_dir() const noexcept { return runtime_dir_; }
  std::string life_path() const { return runtime_dir_ + "/life"; }
  void use_runtime_dir(std::string directory) { runtime_dir_ = std::move(directory); }

  // Creates the runtime directory (and its parent) with mode 0700, or refuses one that belongs to somebody else.
  Status make_runtime_dir() const;

 private:
  SegmentName() = default;
  std::string name_;
  std::string runtime_dir_;
};

}  // namespace shoal
