// SPDX-License-Identifier: MIT
// waker.cc: _shoal.Waker, the wake FIFO of an event loop's thread. The protocol stands in shoal/_loop.py.
#include <nanobind/nanobind.h>
#include <nanobind/stl/shared_ptr.h>

#include "bindings.h"
#include "errors.h"
#include "process/wake.h"

namespace shoal::python {

namespace {

// Made and used in the loop's own thread.
class PyWaker {
 public:
  explicit PyWaker(SegmentRef segment) : segment_(std::move(segment)) {
    Result<std::unique_ptr<LoopWaker>> made = LoopWaker::create(*segment_->process());
    if (!made.ok()) raise(made.status(), segment_->name());
    waker_ = std::move(made).value();
  }

  int fileno() const noexcept { return waker_->fd(); }
  void arm() noexcept { waker_->arm(); }
  void rouse() noexcept { waker_->rouse(*segment_->process()); }
  void drain() noexcept { waker_->drain(); }
  void disarm() noexcept { waker_->disarm(*segment_->process()); }

 private:
  SegmentRef segment_;
  std::unique_ptr<LoopWaker> waker_;
};

}  // namespace

void bind_waker(nb::module_& module) {
  nb::class_<PyWaker>(module, "Waker", "The wake FIFO of the thread that makes it; see shoal._loop for its protocol.")
      .def(nb::init<SegmentRef>(), nb::arg("segment"))
      .def("fileno", &PyWaker::fileno)
      .def("arm", &PyWaker::arm)
      .def("rouse", &PyWaker::rouse)
      .def("drain", &PyWaker::drain)
      .def("disarm", &PyWaker::disarm);
}

}  // namespace shoal::python
