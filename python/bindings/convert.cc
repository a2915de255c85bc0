// SPDX-License-Identifier: MIT
#include "convert.h"

#include <cmath>
#include <string>

#include "commands/command.h"
#include "errors.h"

namespace shoal::python {

namespace {

[[noreturn]] void refuse(nb::handle value) {
  const std::string type = Py_TYPE(value.ptr())->tp_name;
  const std::string name = type.substr(type.rfind('.') + 1);
  const std::string text = "Invalid input of type: '" + name + "'. Convert to a bytes, string, int or float first.";
  raise_object(nb::module_::import_("redis.exceptions").attr("DataError")(text.c_str()));
}

Bytes of_bytes(PyObject* bytes) noexcept {
  return {PyBytes_AS_STRING(bytes), static_cast<size_t>(PyBytes_GET_SIZE(bytes))};
}

Bytes of_text(PyObject* text) {
  Py_ssize_t size = 0;
  const char* data = PyUnicode_AsUTF8AndSize(text, &size);
  if (data == nullptr) throw nb::python_error();
  return {data, static_cast<size_t>(size)};
}

Bytes own(PyObject* made, std::vector<nb::object>& owned) {
  if (made == nullptr) throw nb::python_error();
  owned.push_back(nb::steal(made));
  return PyBytes_Check(made) ? of_bytes(made) : of_text(made);
}

nb::object text_object(Bytes text, bool decode) {
  const auto size = static_cast<Py_ssize_t>(text.size());
  PyObject* made =
      decode ? PyUnicode_DecodeUTF8(text.data(), size, "strict") : PyBytes_FromStringAndSize(text.data(), size);
  if (made == nullptr) throw nb::python_error();
  return nb::steal(made);
}

nb::object list_of(ReplyReader& reader, size_t count, Shape shape) {
  nb::object list = nb::steal(PyList_New(static_cast<Py_ssize_t>(count)));
  if (!list.is_valid()) throw nb::python_error();
  for (size_t i = 0; i < count; ++i) {
    PyList_SET_ITEM(list.ptr(), static_cast<Py_ssize_t>(i), to_python(reader, shape).release().ptr());
  }
  return list;
}

nb::object dict_of(ReplyReader& reader, size_t pairs, Shape shape) {
  nb::dict dict;
  for (size_t i = 0; i < pairs; ++i) {
    const nb::object key = to_python(reader, shape);
    const nb::object value = to_python(reader, shape);
    if (PyDict_SetItem(dict.ptr(), key.ptr(), value.ptr()) != 0) throw nb::python_error();
  }
  return dict;
}

nb::object number_object(double value, Shape shape) {
  if (shape.resp3) return nb::steal(PyFloat_FromDouble(value));
  return text_object(format_float(value), shape.decode);
}

}  // namespace

Bytes encode(nb::handle value, std::vector<nb::object>& owned) {
  PyObject* object = value.ptr();
  if (PyUnicode_Check(object)) return of_text(object);
  if (PyBytes_Check(object)) return of_bytes(object);
  if (PyBool_Check(object)) refuse(value);
  if (PyLong_Check(object) || PyFloat_Check(object)) return own(PyObject_Repr(object), owned);
  if (PyByteArray_Check(object) || PyMemoryView_Check(object)) return own(PyBytes_FromObject(object), owned);
  refuse(value);
}

Arguments::Arguments(nb::handle tuple) {
  if (!PyTuple_Check(tuple.ptr())) throw nb::type_error("a command is a tuple of its name and arguments");
  const Py_ssize_t size = PyTuple_GET_SIZE(tuple.ptr());
  if (size == 0) throw nb::index_error("a command has a name");
  add_name(encode(PyTuple_GET_ITEM(tuple.ptr(), 0), owned_));
  for (Py_ssize_t i = 1; i < size; ++i) add(encode(PyTuple_GET_ITEM(tuple.ptr(), i), owned_));
}

void Arguments::add(Bytes bytes) {
  if (many_.empty() && count_ < kInline) {
    few_[count_++] = bytes;
    return;
  }
  if (many_.empty()) many_.assign(few_.begin(), few_.begin() + static_cast<std::ptrdiff_t>(count_));
  many_.push_back(bytes);
  ++count_;
}

void Arguments::add_name(Bytes name) {
  size_t from = 0;
  for (size_t blank = name.find(' '); blank != Bytes::npos; blank = name.find(' ', from)) {
    if (blank != from) add(name.substr(from, blank - from));
    from = blank + 1;
  }
  if (from < name.size() || count_ == 0) add(name.substr(from));
}

nb::object to_python(ReplyReader& reader, Shape shape) {
  switch (reader.tag()) {
    case Reply::Tag::kNull:
    case Reply::Tag::kNullArray:
      return nb::none();
    case Reply::Tag::kInteger:
      return nb::steal(PyLong_FromLongLong(reader.integer()));
    case Reply::Tag::kDouble:
      return number_object(reader.number(), shape);
    case Reply::Tag::kTrue:
      return shape.resp3 ? nb::bool_(true) : nb::object(nb::int_(1));
    case Reply::Tag::kFalse:
      return shape.resp3 ? nb::bool_(false) : nb::object(nb::int_(0));
    case Reply::Tag::kBulk:
    case Reply::Tag::kSimple:
      return text_object(reader.text(), shape.decode);
    case Reply::Tag::kError:
      return command_error(reader.text());
    case Reply::Tag::kArray:
    case Reply::Tag::kSet:
      return list_of(reader, reader.count(), shape);  // redis-py makes lists of both
    case Reply::Tag::kMap: {
      const size_t pairs = reader.count();
      return shape.resp3 ? dict_of(reader, pairs, shape) : list_of(reader, 2 * pairs, shape);
    }
  }
  SHOAL_ASSERT(false && "a tag of the reply's tape");
}

nb::object reply_to_python(const Reply& reply, Shape shape) {
  ReplyReader reader(reply);
  const auto first = static_cast<Reply::Tag>(*reader.position());
  nb::object value = to_python(reader, shape);
  if (__builtin_expect(first == Reply::Tag::kError, 0)) raise_object(value);
  return value;
}

}  // namespace shoal::python
