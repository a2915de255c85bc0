// SPDX-License-Identifier: MIT
// What the replay against a real server (tests/compat) does not see; the semantics of each command are compared there.
#include <gtest/gtest.h>

#include "support/redis_session.h"

namespace shoal {
namespace {

TEST(ListCommands, ListsAreBuiltReadAndEmptied) {
  TestSegment segment;
  TestSession r(segment);
  EXPECT_EQ(r("RPUSH l a b c"), "3");
  EXPECT_EQ(r("LPUSH l z"), "4");
  EXPECT_EQ(r("LRANGE l 0 -1"), "[z, a, b, c]");
  EXPECT_EQ(r("LMOVE l m RIGHT LEFT"), "c");
  EXPECT_EQ(r("LPOP l 5"), "[z, a, b]");
  EXPECT_EQ(r("EXISTS l"), "0");
  EXPECT_EQ(r("TYPE m"), "list");
}

}  // namespace
}  // namespace shoal
