// SPDX-License-Identifier: MIT
// module.cc: the extension shoal._shoal.
#include "bindings.h"

NB_MODULE(_shoal, module) {
  using namespace shoal::python;
  nb::set_leak_warnings(false);  // clients that live until the interpreter ends are no leak
  bind_segment(module);
  bind_session(module);
  bind_channels(module);
  bind_waker(module);
  bind_queues(module);
}
