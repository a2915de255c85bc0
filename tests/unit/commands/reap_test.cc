// SPDX-License-Identifier: MIT
#include "commands/reap.h"

#include <signal.h>
#include <sys/wait.h>

#include "support/redis_session.h"

namespace shoal {
namespace {

TEST(Reap, ProcessThatWasKilledInABlockingPopWaitsNoLonger) {
  TestSegment segment;
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(60);
    TestSession session(segment);
    const bool waits = session("BLPOP jobs more-jobs 0") == "(pending)";
    if (::write(ready[1], waits ? "y" : "n", 1) != 1) ::_exit(1);
    ::pause();
    ::_exit(1);
  }
  char answer = 0;
  ASSERT_EQ(::read(ready[0], &answer, 1), 1);
  ASSERT_EQ(answer, 'y');
  EXPECT_EQ(segment.waiting_keys(), 2u);
  ::kill(child, SIGKILL);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_EQ(sweep(*segment.process()), 1u);
  EXPECT_EQ(segment.waiting_keys(), 0u);
  ::close(ready[0]);
  ::close(ready[1]);
}

}  // namespace
}  // namespace shoal
