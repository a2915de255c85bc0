// SPDX-License-Identifier: MIT
#include "errors.h"

#include <string>

namespace shoal::python {

namespace {

nb::object exceptions() { return nb::module_::import_("shoal._exceptions"); }

// The class in shoal/_exceptions.py; nullptr: OSError with errno.
const char* class_of(Code code) {
  switch (code) {
    case Code::kInvalidArgument:
      return "AddressError";
    case Code::kNotFound:
      return "SegmentNotFound";
    case Code::kExists:
    case Code::kPermission:
    case Code::kMismatch:
      return "SegmentMismatch";
    case Code::kRemoved:
      return "SegmentRemoved";
    case Code::kFull:
      return "SegmentFull";
    case Code::kTooManyProcesses:
    case Code::kTooManyThreads:
      return "SegmentBusy";
    case Code::kBusy:
    case Code::kHolderStopped:
      return "HolderStopped";
    case Code::kCorrupt:
      return "SegmentCorrupt";
    case Code::kOk:
    case Code::kSystem:
    case Code::kRedisError:
    case Code::kUnsupported:
      return "SegmentError";
  }
  return "SegmentError";
}

}  // namespace

void raise_object(const nb::object& error) {
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(error.ptr())), error.ptr());
  throw nb::python_error();
}

nb::object command_error(Bytes text) {
  PyObject* decoded = PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "replace");
  if (decoded == nullptr) throw nb::python_error();
  return exceptions().attr("error_from_text")(nb::steal(decoded));
}

void raise_command_error(Bytes text) { raise_object(command_error(text)); }

void raise(const Status& status, const std::string& subject) {
  if (status.code() == Code::kRedisError) raise_command_error(status.text());
  std::string text = describe(status);
  if (!subject.empty()) text = "segment \"" + subject + "\": " + text;
  if (status.code() == Code::kFull && text.rfind("OOM", 0) != 0) text = "OOM " + text;
  raise_object(exceptions().attr(class_of(status.code()))(text.c_str()));
}

}  // namespace shoal::python
