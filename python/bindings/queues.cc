// SPDX-License-Identifier: MIT
// queues.cc: _shoal.Queues and _shoal.Consumer, the task queues as shoal.celery uses them.
//
// Names and data are bytes. A call may wait for a shard's lock, so all of them run without the GIL; both classes are
// thread-safe. A lease travels as the text of its tag.
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>

#include <utility>
#include <vector>

#include "bindings.h"
#include "errors.h"
#include "gil.h"
#include "process/slow_lane.h"
#include "queues/consumer.h"
#include "queues/lease.h"
#include "queues/task_queue.h"

namespace shoal::python {

namespace {

using queues::Consumer;
using queues::Delivery;
using queues::LeaseTag;
using queues::Outcome;
using queues::PushResult;
using queues::Route;
using queues::TaskQueues;

Bytes view(const nb::bytes& bytes) { return {bytes.c_str(), bytes.size()}; }
nb::bytes to_bytes(const std::string& text) { return nb::bytes(text.data(), text.size()); }

// Runs without the GIL; throws what went wrong.
template <typename F>
auto unlocked(const SegmentRef& segment, F&& f) {
  auto result = [&] {
    GilRelease released;
    return f();
  }();
  if constexpr (std::is_same_v<decltype(result), Status>) {
    if (!result.ok()) raise(result, segment->name());
  } else {
    if (!result.ok()) raise(result.status(), segment->name());
    return std::move(result).value();
  }
}

// `wait=False` is for an event loop's thread: HolderStopped after a moment, and nothing was done.
int64_t budget(bool wait) { return wait ? kLockBudgetNs : kLoopLockBudgetNs; }

void refuse_if_full(PushResult result) {
  if (result == PushResult::kRefused) raise_command_error("ERR the queue is full and refuses what is pushed");
}

LeaseTag parse(const std::string& text) {
  std::optional<LeaseTag> tag = LeaseTag::parse(text);
  if (!tag) throw nb::value_error("this is not the tag of a lease");
  return *std::move(tag);
}

struct PyQueues {
  PyQueues(SegmentRef attached, uint32_t database)
      : segment(std::move(attached)),
        shared(std::make_shared<TaskQueues>(*segment->process(), database)),
        core(*shared) {}

  void push(nb::bytes name, nb::bytes data, uint32_t priority, uint64_t due_ms, bool wait) {
    refuse_if_full(unlocked(segment, [&] {
      return core.push(view(name), {view(data), priority, due_ms}, budget(wait));
    }));
  }

  bool push_routes(nb::bytes exchange, const nb::list& targets, nb::bytes data, uint32_t priority, uint64_t due_ms,
                   bool wait) {
    std::vector<Route> routes;
    for (nb::handle target : targets) {
      const auto [queue, incarnation] = nb::cast<std::pair<nb::bytes, uint64_t>>(target);
      routes.push_back({{}, {}, std::string(view(queue)), incarnation});
    }
    const PushResult result = unlocked(segment, [&] {
      return core.push_routes(view(exchange), routes, {view(data), priority, due_ms}, budget(wait));
    });
    refuse_if_full(result);
    return result == PushResult::kPushed;
  }

  nb::list bindings(nb::bytes exchange, bool wait) {
    nb::list list;
    for (const Route& route : unlocked(segment, [&] { return core.routes(view(exchange), budget(wait)); })) {
      list.append(
          nb::make_tuple(to_bytes(route.key), to_bytes(route.pattern), to_bytes(route.queue), route.incarnation));
    }
    return list;
  }

  SegmentRef segment;
  std::shared_ptr<TaskQueues> shared;
  TaskQueues& core;
};

nb::object to_python(std::optional<Delivery> delivery) {
  if (!delivery) return nb::none();
  nb::object tag = delivery->tag.empty() ? nb::none() : nb::object(nb::str(delivery->tag.data(), delivery->tag.size()));
  return nb::make_tuple(to_bytes(delivery->queue), tag, to_bytes(delivery->data), delivery->redelivered);
}

struct PyConsumer {
  explicit PyConsumer(std::shared_ptr<PyQueues> of)
      : queues(std::move(of)), core(std::make_shared<Consumer>(queues->core)) {}
  // In whatever thread the collector runs, perhaps an event loop's. The slow lane gets nothing that is Python's.
  ~PyConsumer() {
    if (closed(*core)) return;
    slow_lane::add(
        [process = queues->segment->process(), of = queues->shared, left = std::move(core)] { return closed(*left); });
  }
  static bool closed(Consumer& consumer) {
    const Code code = consumer.close(kLoopLockBudgetNs).code();
    return code != Code::kBusy && code != Code::kFull;
  }

  std::shared_ptr<PyQueues> queues;
  std::shared_ptr<Consumer> core;
};

nb::dict to_python(const queues::QueueStats& stats) {
  nb::dict d;
  d["name"] = to_bytes(stats.name);
  d["database"] = stats.database;
  d["ready"] = stats.ready;
  d["delayed"] = stats.delayed;
  d["leased"] = stats.leased;
  d["dead"] = stats.dead;
  d["consumers"] = stats.consumers;
  d["waiting"] = stats.waiting;
  d["pushed"] = stats.pushed;
  d["acknowledged"] = stats.acknowledged;
  d["next_due_ms"] = stats.next_due_ms;
  d["oldest_lease_ms"] = stats.oldest_lease_ms;
  return d;
}

bool wait(const std::vector<PyConsumer*>& consumers, const SegmentRef& segment, std::optional<double> timeout) {
  std::vector<Consumer*> cores;
  for (PyConsumer* each : consumers) cores.push_back(each->core.get());
  const int64_t timeout_ns = timeout ? static_cast<int64_t>(std::max(0.0, *timeout) * 1e9) : -1;
  const bool found = unlocked(segment, [&] { return queues::wait(*segment->process(), cores, timeout_ns); });
  if (PyErr_CheckSignals() != 0) throw nb::python_error();
  return found;
}

void bind_queue_class(nb::module_& module) {
  nb::class_<PyQueues>(module, "Queues", "The task queues of one database of a segment.")
      .def(nb::init<SegmentRef, uint32_t>(), nb::arg("segment"), nb::arg("db") = 0)
      .def(
          "declare",
          [](PyQueues& self, nb::bytes name, uint64_t max_length, bool drop_head, uint32_t max_deliveries,
             bool auto_delete, uint64_t expires_ms, bool wait) {
            queues::QueueOptions options{max_length, drop_head, queues::kDefaultMaxDeliveries, auto_delete, expires_ms};
            if (max_deliveries != 0) options.max_deliveries = max_deliveries;
            return unlocked(self.segment, [&] { return self.core.declare(view(name), options, budget(wait)); });
          },
          nb::arg("name"), nb::kw_only(), nb::arg("max_length") = 0, nb::arg("drop_head") = true,
          nb::arg("max_deliveries") = 0, nb::arg("auto_delete") = false, nb::arg("expires_ms") = 0,
          nb::arg("wait") = true)
      .def("push", &PyQueues::push, nb::arg("name"), nb::arg("data"), nb::arg("priority") = 0, nb::arg("due_ms") = 0,
           nb::kw_only(), nb::arg("wait") = true)
      .def(
          "stats",
          [](PyQueues& self, nb::bytes name, bool wait) -> nb::object {
            auto stats = unlocked(self.segment, [&] { return self.core.stats(view(name), budget(wait)); });
            return stats ? nb::object(to_python(*stats)) : nb::none();
          },
          nb::arg("name"), nb::kw_only(), nb::arg("wait") = true,
          nb::sig("def stats(self, name: bytes, *, wait: bool = True) -> dict[str, Any] | None"))
      .def(
          "purge",
          [](PyQueues& self, nb::bytes name, bool wait) {
            return unlocked(self.segment, [&] { return self.core.purge(view(name), budget(wait)); });
          },
          nb::arg("name"), nb::kw_only(), nb::arg("wait") = true)
      .def(
          "delete",
          [](PyQueues& self, nb::bytes name, bool wait) {
            return unlocked(self.segment, [&] { return self.core.remove(view(name), budget(wait)); });
          },
          nb::arg("name"), nb::kw_only(), nb::arg("wait") = true)
      .def(
          "dead_letters",
          [](PyQueues& self, nb::bytes name, uint64_t limit) {
            nb::list list;
            for (const std::string& each :
                 unlocked(self.segment, [&] { return self.core.dead_letters(view(name), limit); })) {
              list.append(to_bytes(each));
            }
            return list;
          },
          nb::arg("name"), nb::arg("limit") = 100,
          nb::sig("def dead_letters(self, name: bytes, limit: int = 100) -> list[bytes]"))
      .def("revive",
           [](PyQueues& self, nb::bytes name) {
             return unlocked(self.segment, [&] { return self.core.revive(view(name)); });
           })
      .def(
          "bind",
          [](PyQueues& self, nb::bytes exchange, nb::bytes key, nb::bytes pattern, nb::bytes queue, bool wait) {
            unlocked(self.segment, [&] {
              return self.core.bind(view(exchange), view(key), view(pattern), view(queue), budget(wait));
            });
          },
          nb::arg("exchange"), nb::arg("key"), nb::arg("pattern"), nb::arg("queue"), nb::kw_only(),
          nb::arg("wait") = true)
      .def(
          "unbind",
          [](PyQueues& self, nb::bytes exchange, nb::bytes key, nb::bytes pattern, nb::bytes queue, bool wait) {
            unlocked(self.segment, [&] {
              return self.core.unbind(view(exchange), view(key), view(pattern), view(queue), budget(wait));
            });
          },
          nb::arg("exchange"), nb::arg("key"), nb::arg("pattern"), nb::arg("queue"), nb::kw_only(),
          nb::arg("wait") = true)
      .def(
          "bindings", &PyQueues::bindings, nb::arg("exchange"), nb::kw_only(), nb::arg("wait") = true,
          nb::sig("def bindings(self, exchange: bytes, *, wait: bool = True) -> list[tuple[bytes, bytes, bytes, int]]"))
      .def("push_routes", &PyQueues::push_routes, nb::arg("exchange"), nb::arg("routes"), nb::arg("data"),
           nb::arg("priority") = 0, nb::arg("due_ms") = 0, nb::kw_only(), nb::arg("wait") = true,
           nb::sig("def push_routes(self, exchange: bytes, routes: list[tuple[bytes, int]], data: bytes, "
                   "priority: int = 0, due_ms: int = 0, *, wait: bool = True) -> bool"),
           "Into all these queues (name, incarnation) or none; False: none of them is there any more.")
      .def(
          "push_existing",
          [](PyQueues& self, nb::bytes name, nb::bytes data, bool wait) {
            return unlocked(self.segment, [&] {
                     return self.core.push_existing(view(name), {view(data)}, budget(wait));
                   }) == PushResult::kPushed;
          },
          nb::arg("name"), nb::arg("data"), nb::kw_only(), nb::arg("wait") = true)
      .def_prop_ro("segment", [](PyQueues& self) { return self.segment; })
      .def("start",
           [](PyQueues& self, const std::string& tag) {
             return unlocked(self.segment, [&] { return queues::start(self.core, parse(tag)); });
           })
      .def("finish", [](PyQueues& self, const std::string& tag, int outcome) {
        if (outcome < 0 || outcome > 2) throw nb::value_error("an outcome is 0, 1 or 2");
        return unlocked(self.segment,
                        [&] { return queues::finish(self.core, parse(tag), static_cast<Outcome>(outcome)); });
      });
}

void bind_consumer_class(nb::module_& module) {
  nb::class_<PyConsumer>(module, "Consumer", "A handle that leases tasks of one or several queues.")
      .def(nb::init<std::shared_ptr<PyQueues>>(), nb::arg("queues"))
      .def(
          "add",
          [](PyConsumer& self, nb::bytes queue, bool no_ack, bool wait) {
            unlocked(self.queues->segment, [&] { return self.core->add(view(queue), no_ack, budget(wait)); });
          },
          nb::arg("queue"), nb::arg("no_ack"), nb::kw_only(), nb::arg("wait") = true)
      .def(
          "remove",
          [](PyConsumer& self, nb::bytes queue, bool wait) {
            unlocked(self.queues->segment, [&] { return self.core->remove(view(queue), budget(wait)); });
          },
          nb::arg("queue"), nb::kw_only(), nb::arg("wait") = true)
      .def(
          "take",
          [](PyConsumer& self, bool wait) {
            return to_python(unlocked(self.queues->segment, [&] { return self.core->take(budget(wait)); }));
          },
          nb::kw_only(), nb::arg("wait") = true,
          nb::sig("def take(self, *, wait: bool = True) -> tuple[bytes, str | None, bytes, bool] | None"))
      .def(
          "take_from",
          [](PyConsumer& self, nb::bytes queue, bool no_ack, bool wait) {
            return to_python(unlocked(self.queues->segment,
                                      [&] { return self.core->take_from(view(queue), no_ack, budget(wait)); }));
          },
          nb::arg("queue"), nb::arg("no_ack"), nb::kw_only(), nb::arg("wait") = true,
          nb::sig("def take_from(self, queue: bytes, no_ack: bool, *, wait: bool = True) "
                  "-> tuple[bytes, str | None, bytes, bool] | None"))
      .def(
          "ack",
          [](PyConsumer& self, const std::string& tag, bool wait) {
            return unlocked(self.queues->segment, [&] { return self.core->ack(parse(tag), budget(wait)); });
          },
          nb::arg("tag"), nb::kw_only(), nb::arg("wait") = true)
      .def(
          "reject",
          [](PyConsumer& self, const std::string& tag, bool requeue, bool wait) {
            return unlocked(self.queues->segment, [&] { return self.core->reject(parse(tag), requeue, budget(wait)); });
          },
          nb::arg("tag"), nb::arg("requeue"), nb::kw_only(), nb::arg("wait") = true)
      .def(
          "listen",
          [](PyConsumer& self, bool wait) {
            return unlocked(self.queues->segment, [&] { return self.core->listen(budget(wait)); });
          },
          nb::kw_only(), nb::arg("wait") = true)
      .def(
          "unlisten",
          [](PyConsumer& self, bool wait) {
            unlocked(self.queues->segment, [&] { return self.core->unlisten(budget(wait)); });
          },
          nb::kw_only(), nb::arg("wait") = true)
      .def(
          "close",
          [](PyConsumer& self, bool wait) {
            unlocked(self.queues->segment, [&] { return self.core->close(budget(wait)); });
          },
          nb::kw_only(), nb::arg("wait") = true);
}

}  // namespace

void bind_queues(nb::module_& module) {
  bind_queue_class(module);
  bind_consumer_class(module);
  module.def(
      "wait_for_task",
      [](SegmentRef segment, nb::list consumers, std::optional<double> timeout) {
        std::vector<PyConsumer*> each;
        for (nb::handle consumer : consumers) each.push_back(nb::cast<PyConsumer*>(consumer));
        return wait(each, segment, timeout);
      },
      nb::arg("segment"), nb::arg("consumers"), nb::arg("timeout").none(),
      nb::sig("def wait_for_task(segment: Segment, consumers: list[Consumer], timeout: float | None) -> bool"),
      "Sleeps until one of the consumers may find a task, or the time is over (False); may return early.");
  module.def(
      "queue_stats",
      [](SegmentRef segment) {
        nb::list list;
        for (const queues::QueueStats& stats :
             unlocked(segment, [&] { return queues::all_queues(*segment->process()); })) {
          list.append(to_python(stats));
        }
        return list;
      },
      nb::sig("def queue_stats(segment: Segment, /) -> list[dict[str, Any]]"));
  module.def("expire_queues",
             [](SegmentRef segment) { unlocked(segment, [&] { return queues::expire_queues(*segment->process()); }); });
}

}  // namespace shoal::python
