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
#include "channels/outbox.h"
#include "channels/publish.h"
#include "channels/subscriber.h"
#include "convert.h"
#include "errors.h"
#include "gil.h"

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
    GilRelease released;
    status = body(kLockBudgetNs);
  }
  if (!status.ok()) raise_status(status, segment);
  return true;
}

bool messages_left(PySegment& segment) {
  const shm::Context* self = segment.process()->known_context();
  return self != nullptr && channels::has_outbox(*self);
}

// True: nothing is left.
bool flush_messages(PySegment& segment, int64_t budget_ns, channels::Published* published = nullptr) {
  auto context = segment.process()->context();
  if (!context.ok()) return true;
  shm::Context& self = *context.value();
  return !channels::has_outbox(self) || channels::flush(*segment.process(), self, self, budget_ns, published).ok();
}

// What an event loop calls when messages stay; kept for ever, as the signs are.
nb::handle messages_hook;

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
  if (__builtin_expect(wait && messages_left(*segment), 0)) {
    GilRelease released;
    flush_messages(*segment, kLockBudgetNs, &published);
  }
  see_to_messages(segment, false);
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
  void drop(nb::handle name) {
    std::vector<nb::object> owned;
    subscriber_.drop(ChannelKind::kChannel, encode(name, owned));
    names_.clear();
  }
  void close(bool wait) {
    if (wait) {
      GilRelease released;
      subscriber_.close(kLockBudgetNs);
    } else {
      subscriber_.close(kLoopLockBudgetNs);
    }
    names_.clear();
  }
  size_t count() const noexcept {
    return subscriber_.count(ChannelKind::kChannel) + subscriber_.count(ChannelKind::kPattern);
  }

  // As redis-py's parser would give them. Gaps, which it does not know, are kept apart as (source, lost): take_gaps().
  nb::object read(size_t max, bool wait) {
    nb::list all;
    return collect(all, max, wait, [&](const Delivery& delivery) {
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
  }
  // As message(channel, data, incarnation, sequence) and gap(missed, channel): subclasses of tuple.
  nb::object read_as(nb::type_object message, nb::type_object gap, size_t max, bool wait) {
    auto* message_type = reinterpret_cast<PyTypeObject*>(message.ptr());
    auto* gap_type = reinterpret_cast<PyTypeObject*>(gap.ptr());
    nb::list all;
    return collect(all, max, wait, [&](const Delivery& delivery) {
      if (delivery.kind == Delivery::Kind::kGap) {
        all.append(tuple_of(gap_type, lost_of(delivery), name_of(delivery.source)));
        return;
      }
      nb::object channel = delivery.pattern ? text_of(delivery.channel) : name_of(delivery.source);
      all.append(tuple_of(message_type, std::move(channel), bytes_of(delivery.data),
                          nb::cast(delivery.position.incarnation), nb::cast(delivery.position.sequence)));
    });
  }

  bool has_gaps() const { return gaps_.size() != 0; }
  AnyList take_gaps() { return std::exchange(gaps_, nb::list()); }

  // True as well if a lock keeps it from knowing: read() finds out.
  bool readable() {
    bool something = false;
    const Status status = subscriber_.readable(something, kLoopLockBudgetNs);
    if (status.code() == Code::kBusy) return true;
    if (!status.ok()) raise_status(status, segment_);
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
        GilRelease released;
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

  // `all` when something was taken into it or there is nothing; BUSY.
  template <typename Take>
  nb::object collect(const nb::list& all, size_t max, bool wait, Take&& take) {
    for (;;) {
      const Status status = take_some(max, take);
      if (status.ok()) return all;
      if (status.code() != Code::kBusy) raise_status(status, segment_);
      if (!wait) return busy_sign();
      // Python objects are made with the GIL and the subscriber's own lock held, so what has to be waited for comes
      // first, without the GIL.
      bool something = false;
      const bool done =
          run(segment_, true, [&](int64_t budget_ns) { return subscriber_.readable(something, budget_ns); });
      if (done && !something) return all;
    }
  }

  template <typename Take>
  Status take_some(size_t max, Take& take) {
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
        &with, given, kLoopLockBudgetNs);
    if (with.error) std::rethrow_exception(with.error);
    return status;
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

void see_to_messages(const SegmentRef& segment, bool wait) {
  if (__builtin_expect(!messages_left(*segment), 1)) return;
  if (wait) {
    GilRelease released;
    flush_messages(*segment, kLockBudgetNs);
  }
  if (messages_hook.is_valid() && messages_left(*segment)) messages_hook(segment);
}

void bind_channels(nb::module_& module) {
  module.def(
      "when_messages_stay", [](nb::object call) { messages_hook = call.release(); }, nb::arg("call"),
      "Who is called with the segment when this thread's committed messages wait for a lock: flush_messages() again.");
  module.def(
      "flush_messages", [](const SegmentRef& segment) { return flush_messages(*segment, kLoopLockBudgetNs); },
      nb::arg("segment"), "Publish what waits in this thread; True: nothing is left.");
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
      .def("drop", &PySubscriber::drop, nb::arg("channel"),
           "Unsubscribe for a caller that must not wait: it hears nothing more; if a lock is held, the others see it "
           "later.")
      .def("close", &PySubscriber::close, nb::kw_only(), nb::arg("wait") = true,
           "wait=False: as drop() does it, for all of them.")
      .def_prop_ro("count", &PySubscriber::count)
      .def("read", &PySubscriber::read, nb::arg("max") = 256, nb::kw_only(), nb::arg("wait") = true,
           nb::sig("def read(self, max: int = 256, *, wait: bool = True) -> typing.Any"),
           "A list; wait=False: or BUSY, and then nothing was read.")
      .def("read_as", &PySubscriber::read_as, nb::arg("message"), nb::arg("gap"), nb::arg("max") = 256, nb::kw_only(),
           nb::arg("wait") = true,
           nb::sig("def read_as(self, message: type, gap: type, max: int = 256, *, wait: bool = True) -> typing.Any"))
      .def_prop_ro("has_gaps", &PySubscriber::has_gaps)
      .def("take_gaps", &PySubscriber::take_gaps)
      .def("readable", &PySubscriber::readable)
      .def("wait", &PySubscriber::wait, nb::arg("seconds") = nb::none());
}

}  // namespace shoal::python
