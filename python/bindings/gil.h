// SPDX-License-Identifier: MIT
// gil.h: waiting without the GIL, also by a daemon thread while the interpreter ends.
//
// Python up to 3.13 ends a thread that wants the GIL back by then with pthread_exit, whose unwinding ends the process
// in the first function that may not throw. Such a thread stops here for good; the process ends without it. It holds no
// lock of the segment: it comes from a wait. (One that is just about to take the GIL when the end begins is not
// helped.)
#pragma once

#include <nanobind/nanobind.h>
#include <unistd.h>

namespace shoal::python {

inline bool interpreter_ends() noexcept {
#if PY_VERSION_HEX >= 0x030D0000
  return Py_IsFinalizing() != 0;
#else
  return _Py_IsFinalizing() != 0;
#endif
}

// The thread that ends the interpreter is the process's first: what it does meanwhile goes on.
inline void stop_if_the_interpreter_ends() noexcept {
  if (__builtin_expect(interpreter_ends(), 0)) {
    while (::gettid() != ::getpid()) ::pause();
  }
}

// The GIL is free as long as this lives.
class GilRelease {
 public:
  GilRelease() = default;
  ~GilRelease() { stop_if_the_interpreter_ends(); }
  GilRelease(const GilRelease&) = delete;
  GilRelease& operator=(const GilRelease&) = delete;

 private:
  nanobind::gil_scoped_release released_;
};

}  // namespace shoal::python
