// SPDX-License-Identifier: MIT
// give_way.h: whoever has woken somebody lets him run first.
//
// A kernel may queue the woken thread behind its waker although another processor is idle (in a virtual machine that is
// the rule: a processor that its host has put to rest counts as busy). Then a message arrives when its publisher next
// sleeps, whatever he has to do until then; with a server in between he would sleep at once, for its reply.
//
// So the waker offers his processor, at most once in half a millisecond and not in a burst, in which the woken should
// rather find many messages than be woken for each. If it took long to get it back, others than the woken want it: the
// next offer is a tenth of a second later. With nobody queued here an offer costs one system call.
// Private memory only: if the process dies at any line nothing is left.
#pragma once

#include <algorithm>
#include <cstdint>

namespace shoal {

// After a wake, outside locks, when nothing is owed.
void give_way() noexcept;

// When a thread offers its processor. Times in nanoseconds, of any steady clock.
class Offers {
 public:
  static constexpr int64_t kPauseNs = 500'000;
  static constexpr int64_t kLongNs = 500'000, kPauseAfterLongNs = 100'000'000;

  // Asked at each wake; false in a burst, however long it goes on.
  bool due(int64_t now) noexcept {
    if (now >= not_before_) return true;
    not_before_ = std::max(not_before_, now + kPauseNs);
    return false;
  }
  void made(int64_t start, int64_t end) noexcept {
    not_before_ = end + (end - start > kLongNs ? kPauseAfterLongNs : kPauseNs);
  }

 private:
  int64_t not_before_ = 0;
};

}  // namespace shoal
