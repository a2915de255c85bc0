// SPDX-License-Identifier: MIT
// reader.h: what a reader without a lock takes for true, at any moment. What he saw when somebody died must be what
// recovery leaves: neither half of a change, nor a change that is undone afterwards.
#pragma once

#include <string>
#include <vector>

#include "segment/segment.h"

namespace shoal::crash {

class Reader {
 public:
  // Reads the keys that lie in the segment, and those that the line names.
  Reader(const Segment& segment, const std::string& line);

  // What each of them holds; no value = he would have to take the lock. Takes none, writes nothing.
  std::vector<std::string> look(const Segment& segment) const;
  // Empty, or which key he saw otherwise than it is now.
  std::string deceived(const std::vector<std::string>& seen, const Segment& recovered) const;

 private:
  struct Watched {
    uint32_t database;
    std::string key;
  };
  std::vector<Watched> keys_;
};

}  // namespace shoal::crash
