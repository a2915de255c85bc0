// SPDX-License-Identifier: MIT
// fault_guard.h: runs a function that may follow a damaged offset. A fault in it, or give_up(), ends the function, not
// the process: the last defence of check and inspect, behind their own bounds.
//
// The function leaves by a jump: nothing in it may own anything that a destructor gives back, and it takes no lock. It
// only reads.
// Threads may do this side by side; each catches its own faults, those of others go where they went before.
#pragma once

namespace shoal::fault_guard {

// False if the function faulted or gave up.
bool run(void (*function)(void*), void* argument) noexcept;
// Leaves the innermost run() of this thread. Outside of any it does nothing.
void give_up() noexcept;

}  // namespace shoal::fault_guard
