// SPDX-License-Identifier: MIT
// Processes in PID namespaces of their own, and so with EQUAL thread ids, as two containers have them. A machine that
// permits no such namespace fails the tests that ask for one: equal thread ids would stay untested.
#pragma once

#include <sched.h>

#include <fstream>
#include <string>

#include "support/process_fixture.h"

namespace shoal {

inline constexpr int kNoNamespaces = 100, kNotTidOne = 101;

// `body` runs as the first process, and so with thread id 1, of a PID namespace of its own. To be called in a Child.
inline int run_as_tid_one(const std::function<int()>& body) {
  if (::unshare(CLONE_NEWPID) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0) return kNoNamespaces;
  Child first([&] {
    ::alarm(0);  // the kernel drops signals of its own namespace to process 1; the killer sits outside
    return ::getpid() == 1 ? body() : kNotTidOne;
  });
  return first.wait();
}

// For a fixture's SetUp, before anybody waits for what a process in a namespace says.
inline ::testing::AssertionResult namespaces_are_permitted() {
  Child trial([] { return run_as_tid_one([] { return 0; }); });
  if (trial.wait() == 0) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "this machine does not permit PID namespaces (root or user namespaces are "
                                          "needed): equal thread ids remain untested";
}

// The child of ours is outside the namespace and waits for process 1 in it: that one has to go first.
inline void kill_tree(Child& outer) {
  const std::string pid = std::to_string(outer.pid());
  std::string inner;
  std::getline(std::ifstream("/proc/" + pid + "/task/" + pid + "/children"), inner, ' ');
  if (!inner.empty()) ::kill(std::stoi(inner), SIGKILL);
  const int code = outer.wait();
  EXPECT_NE(code, kNoNamespaces);
  EXPECT_NE(code, kNotTidOne);
}

}  // namespace shoal
