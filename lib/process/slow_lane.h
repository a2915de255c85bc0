// SPDX-License-Identifier: MIT
// slow_lane.h: what somebody who must not wait (an event loop, a destructor) left undone because a lock was held too
// long is done by one thread of this process, as soon as the lock is to be had.
//
// The thread is made for the first job, tries each job again and again, and ends with the last one. It takes no
// signals.
// A forked child starts with an empty lane: what its parent left undone is the parent's.
// Dies at any line: the jobs are lost with the process, so a job may only be what the reaping of its slot does as well.
#pragma once

#include <functional>

namespace shoal::slow_lane {

// Tries once: true = done, or nothing is left to do. It waits for no lock longer than an event loop would, so that one
// stopped holder does not keep the other jobs waiting; and it does not throw.
using Job = std::function<bool()>;

void add(Job job);

}  // namespace shoal::slow_lane
