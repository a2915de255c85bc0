// SPDX-License-Identifier: MIT
// convert.h: Python arguments to bytes as redis-py encodes them, and a reply's tape to the Python objects that
// redis-py's parser would make. The GIL is held.
#pragma once

#include <nanobind/nanobind.h>

#include <array>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "commands/reply.h"

namespace shoal::python {

namespace nb = nanobind;

// A command's name and arguments as bytes. The bytes lie in the Python objects, which the caller keeps alive, or in
// objects that this one owns. A name with blanks ("CONFIG GET") becomes several.
class Arguments {
 public:
  explicit Arguments(nb::handle tuple);
  Arguments(const Arguments&) = delete;
  Arguments& operator=(const Arguments&) = delete;

  std::span<const Bytes> all() const noexcept { return {begin(), count_}; }

 private:
  static constexpr size_t kInline = 8;
  const Bytes* begin() const noexcept { return many_.empty() ? few_.data() : many_.data(); }
  void add(Bytes bytes);
  void add_name(Bytes name);

  std::array<Bytes, kInline> few_;
  std::vector<Bytes> many_;
  size_t count_ = 0;
  std::vector<nb::object> owned_;
};

// The bytes of one argument; what it had to make is appended to `owned`. DataError for what redis-py refuses.
Bytes encode(nb::handle value, std::vector<nb::object>& owned);

struct Shape {
  bool decode = false;  // texts as str (strict UTF-8) instead of bytes
  bool resp3 = true;    // maps as dict, doubles as float, booleans as bool; else as RESP2 has them
};

// Reads one value. Errors become exception objects: in a list they stay, at the top the caller raises them.
nb::object to_python(ReplyReader& reader, Shape shape);
// The whole reply; an error is raised.
nb::object reply_to_python(const Reply& reply, Shape shape);

}  // namespace shoal::python
