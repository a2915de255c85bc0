// SPDX-License-Identifier: MIT
// channels.cc: _shoal.publish(), configure_channel() and Subscriber.
//
// As with commands: first with the GIL held and the event loop's budget for locks; only if a lock is held longer the
// GIL goes, or (wait=False, for event loops) the answer is BUSY and nothing has happened.
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>

#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "bindings.h"
#include "channels/publish.h"
#include "channels/subscriber.h"
#include "convert.h"
#include "errors.h"

namespace shoal::python {

namespace {

using channels::ChannelKind;
using channels::Delivery;

[[noreturn]] void raise_status(const Status& status, const SegmentRef& segment) {
  if (status.code() != Code::kRedisError) raise(status, segment->name());
  const std::string number = status.number() == 0 ? "" : ": at most " + std::to_string(status.number());
  raise_command_error(status.text() + number);
}

// Runs body(budget). False: BUSY, and the caller does not wish to wait.
template <typename Body>
bool run(const SegmentRef& segment, bool wait, Body&& body) {
  Status status = body(kLoopLockBudgetNs);
  if (status.code() == Code::kBusy) {
    if (!wait) return false;
    nb::gil_scoped_release released;
    status = body(kLockBudgetNs);
  }
  if (!status.ok()) raise_status(status, segment);
  return true;
}

nb::object publish(const SegmentRef& segment, nb::handle channel, nb::handle data, bool wait) {
  std::vector<nb::object> owned;
  const Bytes name = encode(channel, owned), bytes = encode(data, owned);
  channels::Published published;
  const bool done = run(segment, wait, [&](int64_t budget_ns) -> Status {
    auto context = segment->process()->context();
    if (!context.ok()) return context.status();
    return channels::publish(*segment->process(), *context.value(), name, bytes, budget_ns, published);
  });
  if (!done) return busy_sign();
  return nb::make_tuple(published.receivers, published.incarnation, published.sequence, published.history_cut);
}

nb::object configure_channel(const SegmentRef& segment, nb::handle channel, uint32_t keep, uint64_t ttl_ms, bool wait) {
  std::vector<nb::object> owned;
  const Bytes name = encode(channel, owned);
  const bool done = run(segment, wait, [&](int64_t budget_ns) {
    return channels::configure(*segment->process(), name, {keep, ttl_ms}, budget_ns);
  });
  return done ? nb::none() : busy_sign();
}

// A new reference to a tuple, or to an instance of a subclass of tuple that has no __new__ of its own to run.
template <typename... Items>
nb::object tuple_of(PyTypeObject* type, Items... items) {
  PyObject* made = type->tp_alloc(type, sizeof...(Items));
  if (made == nullptr) nb::raise_python_error();
  Py_ssize_t place = 0;
  (PyTuple_SET_ITEM(made, place++, items.release().ptr()), ...);
  return nb::steal(made);
}

using AnyList = nb::typed<nb::list, nb::any>;  // for the stub

class PySubscriber {
 public:
  PySubscriber(SegmentRef segment, bool decode)
      : segment_(std::move(segment)), subscriber_(segment_->process()), decode_(decode) {}

  nb::object subscribe(nb::handle name, std::optional<uint64_t> last,
                       std::optional<std::pair<uint64_t, uint64_t>> since, bool wait) {
    channels::Start start;
    start.last = last;
    if (since) start.since = channels::Position{since->first, since->second};
    return enter(ChannelKind::kChannel, name, start, wait);
  }
  nb::object psubscribe(nb::handle name, bool wait) { return enter(ChannelKind::kPattern, name, {}, wait); }
  nb::object unsubscribe(nb::handle name, bool wait) { return leave(ChannelKind::kChannel, name, wait); }
  nb::object punsubscribe(nb::handle name, bool wait) { return leave(ChannelKind::kPattern, name, wait); }
  void close() {
    subscriber_.close();
    names_.clear();
  }
  size_t count() const noexcept {
    return subscriber_.count(ChannelKind::kChannel) + subscriber_.count(ChannelKind::kPattern);
  }

  // As redis-py's parser would give them. Gaps, which it does not know, are kept apart as (source, lost): take_gaps().
  AnyList read(size_t max) {
    nb::list all;
    collect(max, [&](const Delivery& delivery) {
      if (delivery.kind == Delivery::Kind::kGap) {
        gaps_.append(nb::make_tuple(name_of(delivery.source), lost_of(delivery)));
      } else if (delivery.pattern) {
        all.append(tuple_of(&PyTuple_Type, word(pmessage_, "pmessage"), name_of(delivery.source),
                            text_of(delivery.channel), text_of(delivery.data)));
      } else {
        all.append(
            tuple_of(&PyTuple_Type, word(message_, "message"), name_of(delivery.source), text_of(delivery.data)));
      }
    });
    return all;
  }
  // As message(channel, data, incarnation, sequence) and gap(missed, channel): subclasses of tuple.
  AnyList read_as(nb::type_object message, nb::type_object gap, size_t max) {
    auto* message_type = reinterpret_cast<PyTypeObject*>(message.ptr());
    auto* gap_type = reinterpret_cast<PyTypeObject*>(gap.ptr());
    nb::list all;
    collect(max, [&](const Delivery& delivery) {
      if (delivery.kind == Delivery::Kind::kGap) {
        all.append(tuple_of(gap_type, lost_of(delivery), name_of(delivery.source)));
        return;
      }
      nb::object channel = delivery.pattern ? text_of(delivery.channel) : name_of(delivery.source);
      all.append(tuple_of(message_type, std::move(channel), bytes_of(delivery.data),
                          nb::cast(delivery.position.incarnation), nb::cast(delivery.position.sequence)));
    });
    return all;
  }

  bool has_gaps() const { return gaps_.size() != 0; }
  AnyList take_gaps() { return std::exchange(gaps_, nb::list()); }

  bool readable() {
    bool something = false;
    if (Status status = subscriber_.readable(something); !status.ok()) raise_status(status, segment_);
    return something;
  }
  // Sleeps in this thread; Python's signal handlers run meanwhile. False: the time is over.
  bool wait(std::optional<double> seconds) {
    const int64_t start = monotonic_ns();
    for (;;) {
      const int64_t left = seconds ? static_cast<int64_t>(*seconds * 1e9) - (monotonic_ns() - start) : kLockBudgetNs;
      bool something = false;
      Status status;
      {
        nb::gil_scoped_release released;
        status = left > 0 ? subscriber_.wait(left, something) : subscriber_.readable(something);
      }
      if (!status.ok()) raise_status(status, segment_);
      if (something || left <= 0) return something;
      if (PyErr_CheckSignals() != 0) nb::raise_python_error();
    }
  }

 private:
  nb::object enter(ChannelKind kind, nb::handle name, const channels::Start& start, bool wait) {
    std::vector<nb::object> owned;
    const Bytes bytes = encode(name, owned);
    bool fresh = false;
    const bool done = run(
        segment_, wait, [&](int64_t budget_ns) { return subscriber_.subscribe(kind, bytes, start, budget_ns, fresh); });
    return done ? nb::object(nb::bool_(fresh)) : busy_sign();
  }
  nb::object leave(ChannelKind kind, nb::handle name, bool wait) {
    std::vector<nb::object> owned;
    const Bytes bytes = encode(name, owned);
    bool there = false;
    const bool done =
        run(segment_, wait, [&](int64_t budget_ns) { return subscriber_.unsubscribe(kind, bytes, budget_ns, there); });
    names_.clear();
    return done ? nb::object(nb::bool_(there)) : busy_sign();
  }

  template <typename Take>
  void collect(size_t max, Take&& take) {
    struct With {
      Take& take;
      std::exception_ptr error;
    } with{take, nullptr};
    size_t given = 0;
    const Status status = subscriber_.read(
        max,
        [](void* raw, const Delivery& delivery) {
          auto& [call, error] = *static_cast<With*>(raw);
          if (error) return;
          try {
            call(delivery);
          } catch (...) {  // no memory for an object: told when the subscriber is whole again
            error = std::current_exception();
          }
        },
        &with, given);
    if (with.error) std::rethrow_exception(with.error);
    if (!status.ok()) raise_status(status, segment_);
  }

  static nb::object bytes_of(Bytes bytes) { return nb::bytes(bytes.data(), bytes.size()); }
  nb::object text_of(Bytes bytes) const {
    if (!decode_) return bytes_of(bytes);
    PyObject* text = PyUnicode_DecodeUTF8(bytes.data(), static_cast<Py_ssize_t>(bytes.size()), "surrogateescape");
    if (text == nullptr) nb::raise_python_error();
    return nb::steal(text);
  }
  // One object for a source, not one a message. The view lies in the source itself, so its place is its name.
  nb::object name_of(Bytes source) {
    nb::object& known = names_[source.data()];
    if (!known.is_valid()) known = text_of(source);
    return known;
  }
  nb::object word(nb::object& known, const char* text) {
    if (!known.is_valid()) known = text_of(text);
    return known;
  }
  static nb::object lost_of(const Delivery& delivery) { return delivery.lost ? nb::cast(*delivery.lost) : nb::none(); }

  SegmentRef segment_;
  channels::Subscriber subscriber_;
  bool decode_;
  std::unordered_map<const char*, nb::object> names_;
  nb::object message_, pmessage_;
  nb::list gaps_;
};

}  // namespace

void bind_channels(nb::module_& module) {
  module.def("publish", &publish, nb::arg("segment"), nb::arg("channel"), nb::arg("data"), nb::arg("wait") = true,
             "(receivers, incarnation, sequence, history_cut), or BUSY.");
  module.def("configure_channel", &configure_channel, nb::arg("segment"), nb::arg("channel"), nb::arg("keep"),
             nb::arg("ttl_ms") = 0, nb::arg("wait") = true, "The history that a channel keeps; keep=0: none.");
  nb::class_<PySubscriber>(module, "Subscriber", "Channels and patterns, each read at a cursor of its own.")
      .def(nb::init<SegmentRef, bool>(), nb::arg("segment"), nb::arg("decode") = false)
      .def("subscribe", &PySubscriber::subscribe, nb::arg("channel"), nb::arg("last") = nb::none(),
           nb::arg("since") = nb::none(), nb::arg("wait") = true, "False: was subscribed already.")
      .def("psubscribe", &PySubscriber::psubscribe, nb::arg("pattern"), nb::arg("wait") = true)
      .def("unsubscribe", &PySubscriber::unsubscribe, nb::arg("channel"), nb::arg("wait") = true)
      .def("punsubscribe", &PySubscriber::punsubscribe, nb::arg("pattern"), nb::arg("wait") = true)
      .def("close", &PySubscriber::close)
      .def_prop_ro("count", &PySubscriber::count)
      .def("read", &PySubscriber::read, nb::arg("max") = 256)
      .def("read_as", &PySubscriber::read_as, nb::arg("message"), nb::arg("gap"), nb::arg("max") = 256)
      .def_prop_ro("has_gaps", &PySubscriber::has_gaps)
      .def("take_gaps", &PySubscriber::take_gaps)
      .def("readable", &PySubscriber::readable)
      .def("wait", &PySubscriber::wait, nb::arg("seconds") = nb::none());
}

}  // namespace shoal::python
