// SPDX-License-Identifier: MIT
// session.cc: _shoal.Session, what a connection is to a server; and the signs BUSY and PENDING.
//
// A command first runs with the GIL held and the event loop's budget for locks: it is done within a microsecond, and
// giving the GIL up would cost more. Only if a lock is held longer does execute() let the GIL go and wait as long as a
// thread may.
#include <nanobind/nanobind.h>
#include <nanobind/stl/shared_ptr.h>

#include "bindings.h"
#include "channels/publish.h"
#include "commands/blocking.h"
#include "commands/call.h"
#include "commands/session.h"
#include "convert.h"
#include "errors.h"
#include "gil.h"

namespace shoal::python {

namespace {

enum class Sign { kBusy, kPending };

class PySession {
 public:
  PySession(SegmentRef segment, uint32_t db, int protocol, bool decode)
      : segment_(std::move(segment)), session_(segment_->process(), db, protocol), shape_{decode, protocol == 3} {}

  nb::object execute(nb::handle args) { return run(args, shape_); }
  nb::object execute_bytes(nb::handle args) { return run(args, bytes_shape()); }
  nb::object try_execute(nb::handle args) { return attempt(args, shape_); }
  nb::object try_execute_bytes(nb::handle args) { return attempt(args, bytes_shape()); }

  nb::object resume() {
    if (!blocking::pending(session_)) throw nb::value_error("no command of this session waits");
    return answer(blocking::resume(session_, kLoopLockBudgetNs), pending_shape_);
  }
  // Seconds until the waiting command's time is up; None: it waits for ever.
  nb::object pending_timeout() {
    const int64_t left_ns = blocking::timeout_ns(session_);
    if (left_ns == blocking::kNoTimeout) return nb::none();
    return nb::float_(static_cast<double>(left_ns) * 1e-9);
  }
  void cancel() {
    if (blocking::pending(session_)) blocking::cancel(session_);
  }

  nb::object try_get(nb::handle key) { return hot("GET", key, nb::handle()); }
  nb::object try_set(nb::handle key, nb::handle value) { return hot("SET", key, value); }

  // PUBLISH, as a loop runs it. BUSY also for whatever is not the usual case: then the command says what it is.
  nb::object try_publish(nb::handle channel, nb::handle message) {
    if (may_let_the_gil_go(channel) || may_let_the_gil_go(message)) return busy_sign();
    std::vector<nb::object> owned;
    const Bytes name = encode(channel, owned), bytes = encode(message, owned);
    shm::Context* const self = session_.process().known_context();
    channels::Published published;
    if (self == nullptr || session_.in_multi() ||
        !channels::publish(session_.process(), *self, name, bytes, kLoopLockBudgetNs, published).ok()) {
      return busy_sign();
    }
    see_to_messages(segment_, false);
    return nb::int_(published.receivers);
  }

  nb::object execute_many(nb::list commands, bool atomic);
  nb::object try_execute_many(nb::list commands, bool atomic, nb::list replies);

 private:
  bool answered(Reply::Tag tag) const noexcept { return *session_.reply().data() == static_cast<char>(tag); }
  Shape bytes_shape() const noexcept { return {false, shape_.resp3}; }

  Outcome wait_for_locks(std::span<const Bytes> arguments) {
    GilRelease released;
    return session_.execute(arguments, kLockBudgetNs);
  }

  nb::object run(nb::handle args, Shape shape) {
    const Arguments arguments(args);
    Outcome outcome = session_.execute(arguments.all(), kLoopLockBudgetNs);
    if (outcome == Outcome::kBusy) outcome = wait_for_locks(arguments.all());
    if (outcome == Outcome::kPending) outcome = wait_for_turn();
    see_to_messages(segment_, true);
    return answer(outcome, shape);
  }

  // Sleeps until the blocking command is answered; signal handlers run meanwhile, and may raise.
  Outcome wait_for_turn() {
    bool raised = false;
    Outcome outcome;
    {
      GilRelease released;
      outcome = blocking::wait(session_, [&raised] {
        stop_if_the_interpreter_ends();
        nb::gil_scoped_acquire held;
        return raised = PyErr_CheckSignals() != 0;
      });
      if (raised) blocking::cancel(session_);
    }
    if (raised) throw nb::python_error();
    return outcome;
  }

  nb::object attempt(nb::handle args, Shape shape) {
    const Arguments arguments(args);
    pending_shape_ = shape;
    const Outcome outcome = session_.execute(arguments.all(), kLoopLockBudgetNs);
    see_to_messages(segment_, false);
    return answer(outcome, shape);
  }

  nb::object answer(Outcome outcome, Shape shape) {
    if (__builtin_expect(outcome == Outcome::kReplied, 1)) return reply_to_python(session_.reply(), shape);
    if (outcome == Outcome::kBusy) return busy_sign();
    if (outcome == Outcome::kPending) return pending_sign();
    raise(session_.status(), segment_->name());
  }

  // The text of a subclass of int or float is made in Python. Meanwhile another thread may take this session.
  static bool may_let_the_gil_go(nb::handle value) {
    PyObject* const object = value.ptr();
    return object != nullptr && ((PyLong_Check(object) && !PyLong_CheckExact(object)) ||
                                 (PyFloat_Check(object) && !PyFloat_CheckExact(object)));
  }

  // GET and SET without options.
  nb::object hot(Bytes name, nb::handle key, nb::handle value) {
    if (may_let_the_gil_go(key) || may_let_the_gil_go(value)) return busy_sign();
    std::vector<nb::object> owned;
    const std::array<Bytes, 3> words{name, encode(key, owned), value.is_valid() ? encode(value, owned) : Bytes{}};
    const std::span<const Bytes> arguments(words.data(), value.is_valid() ? 3 : 2);
    const Outcome outcome = session_.execute(arguments, kLoopLockBudgetNs);
    if (value.is_valid() && outcome == Outcome::kReplied && answered(Reply::Tag::kSimple)) return nb::bool_(true);
    return answer(outcome, shape_);
  }

  bool run_atomically(nb::list commands, int64_t budget_ns, bool may_wait, nb::object& result);

  SegmentRef segment_;
  Session session_;
  Shape shape_;
  Shape pending_shape_;
};

// All commands' arguments; the bytes lie in the Python objects.
struct Batch {
  explicit Batch(nb::list commands) {
    for (nb::handle command : commands) {
      parsed.push_back(std::make_unique<Arguments>(command));
      const auto all = parsed.back()->all();
      words.emplace_back(all.begin(), all.end());
    }
  }
  std::vector<std::unique_ptr<Arguments>> parsed;
  std::vector<std::vector<Bytes>> words;
};

// MULTI refuses what is not well-formed when it is queued: the error of the first such command, with its place.
[[noreturn]] void raise_refused(const Batch& batch, const Reply& exec_abort, Shape shape) {
  for (size_t i = 0; i < batch.words.size(); ++i) {
    Reply reply;
    const Command* command = check_command(batch.words[i], reply);
    if (command != nullptr && (command->flags & kNotInMulti) != 0) {
      reply.clear();
      reply.error("ERR Command not allowed inside a transaction");
    } else if (command != nullptr) {
      continue;
    }
    ReplyReader reader(reply);
    nb::object error = to_python(reader, shape);
    error.attr("index") = i;
    raise_object(error);
  }
  ReplyReader reader(exec_abort);
  raise_object(to_python(reader, shape));
}

// False: a lock is held too long, nothing happened.
bool PySession::run_atomically(nb::list commands, int64_t budget_ns, bool may_wait, nb::object& result) {
  const Batch batch(commands);
  Outcome outcome = session_.execute_atomically(batch.words, budget_ns);
  if (outcome == Outcome::kBusy && may_wait) {
    GilRelease released;
    outcome = session_.execute_atomically(batch.words, kLockBudgetNs);
  }
  if (outcome == Outcome::kBusy) return false;
  see_to_messages(segment_, may_wait);
  if (outcome == Outcome::kReplied && answered(Reply::Tag::kError)) {
    raise_refused(batch, session_.reply(), shape_);
  }
  result = answer(outcome, shape_);
  return true;
}

nb::object error_object(nb::python_error& error) {
  if (!error.matches(nb::module_::import_("redis.exceptions").attr("ResponseError"))) throw;
  return nb::borrow(error.value());
}

nb::object PySession::execute_many(nb::list commands, bool atomic) {
  nb::object result;
  if (atomic) {
    run_atomically(commands, kLoopLockBudgetNs, true, result);
    return result;
  }
  nb::list replies;
  for (nb::handle command : commands) {
    try {
      replies.append(run(command, shape_));
    } catch (nb::python_error& error) {
      replies.append(error_object(error));
    }
  }
  return replies;
}

nb::object PySession::try_execute_many(nb::list commands, bool atomic, nb::list replies) {
  if (atomic) {
    nb::object result;
    if (!run_atomically(commands, kLoopLockBudgetNs, false, result)) return busy_sign();
    if (result.is_none()) return nb::bool_(false);
    replies.extend(result);
    return nb::bool_(true);
  }
  for (nb::handle command : commands) {
    try {
      nb::object reply = attempt(command, shape_);
      if (reply.is(busy_sign()) || reply.is(pending_sign())) return reply;
      replies.append(reply);
    } catch (nb::python_error& error) {
      replies.append(error_object(error));
    }
  }
  return nb::bool_(true);
}

}  // namespace

// Kept for ever, from the import on: asking for one runs no Python code.
static nb::handle signs[2];

nb::object busy_sign() { return nb::borrow(signs[0]); }

nb::object pending_sign() { return nb::borrow(signs[1]); }

void bind_session(nb::module_& module) {
  nb::enum_<Sign>(module, "Sign", "What an event loop gets instead of a reply.")
      .value("BUSY", Sign::kBusy, "A lock is held too long: nothing happened, try again.")
      .value("PENDING", Sign::kPending, "A blocking command waits: resume() after a wake, or cancel().")
      .export_values();
  signs[0] = nb::cast(Sign::kBusy).release();
  signs[1] = nb::cast(Sign::kPending).release();
  nb::class_<PySession>(module, "Session", "What a connection is to a server. For one thread at a time.")
      .def(nb::init<SegmentRef, uint32_t, int, bool>(), nb::arg("segment"), nb::arg("db") = 0, nb::arg("protocol") = 3,
           nb::arg("decode") = false)
      .def("execute", &PySession::execute, nb::sig("def execute(self, args: tuple[typing.Any, ...], /) -> typing.Any"))
      .def("execute_bytes", &PySession::execute_bytes,
           nb::sig("def execute_bytes(self, args: tuple[typing.Any, ...], /) -> typing.Any"))
      .def("try_execute", &PySession::try_execute,
           nb::sig("def try_execute(self, args: tuple[typing.Any, ...], /) -> typing.Any"))
      .def("try_execute_bytes", &PySession::try_execute_bytes,
           nb::sig("def try_execute_bytes(self, args: tuple[typing.Any, ...], /) -> typing.Any"))
      .def("resume", &PySession::resume, nb::sig("def resume(self) -> typing.Any"))
      .def("pending_timeout", &PySession::pending_timeout, nb::sig("def pending_timeout(self) -> float | None"))
      .def("cancel", &PySession::cancel)
      .def("execute_many", &PySession::execute_many,
           nb::sig("def execute_many(self, commands: list[tuple[typing.Any, ...]], atomic: bool, /) "
                   "-> list[typing.Any] | None"))
      .def("try_execute_many", &PySession::try_execute_many,
           nb::sig("def try_execute_many(self, commands: list[tuple[typing.Any, ...]], atomic: bool, "
                   "replies: list[typing.Any], /) -> typing.Any"))
      .def("try_get", &PySession::try_get, nb::sig("def try_get(self, key: typing.Any, /) -> typing.Any"))
      .def("try_set", &PySession::try_set,
           nb::sig("def try_set(self, key: typing.Any, value: typing.Any, /) -> typing.Any"))
      .def("try_publish", &PySession::try_publish,
           nb::sig("def try_publish(self, channel: typing.Any, message: typing.Any, /) -> typing.Any"));
}

}  // namespace shoal::python
