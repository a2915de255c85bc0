// SPDX-License-Identifier: MIT
// errors.h: from a Status or a Redis error text to the Python exception. The only map; the classes stand in
// shoal/_exceptions.py. The GIL is held.
#pragma once

#include <nanobind/nanobind.h>

#include "base/bytes.h"
#include "base/status.h"

namespace shoal::python {

namespace nb = nanobind;

// Throws the exception for an operating error. `subject` (a segment's name) is named in its text if given.
[[noreturn]] void raise(const Status& status, const std::string& subject = {});

// The exception object that redis-py makes of this error text ("ERR ...", "WRONGTYPE ...").
nb::object command_error(Bytes text);
// Throws it.
[[noreturn]] void raise_command_error(Bytes text);
// Throws any exception object.
[[noreturn]] void raise_object(const nb::object& error);

}  // namespace shoal::python
