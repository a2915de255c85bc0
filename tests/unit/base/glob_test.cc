// SPDX-License-Identifier: MIT
#include "base/glob.h"

#include <gtest/gtest.h>

namespace shoal {
namespace {

TEST(Glob, StarsQuestionMarksAndClassesMatchAsInRedis) {
  EXPECT_TRUE(glob_match("*", ""));
  EXPECT_TRUE(glob_match("h?llo", "hello"));
  EXPECT_FALSE(glob_match("h?llo", "hllo"));
  EXPECT_TRUE(glob_match("h*llo", "heeeello"));
  EXPECT_TRUE(glob_match("a*b*c", "a--b-b--c"));
  EXPECT_FALSE(glob_match("a*b*c", "a--b-b--"));
  EXPECT_TRUE(glob_match("h[ae]llo", "hallo"));
  EXPECT_FALSE(glob_match("h[ae]llo", "hillo"));
  EXPECT_TRUE(glob_match("h[^e]llo", "hallo"));
  EXPECT_FALSE(glob_match("h[^e]llo", "hello"));
  EXPECT_TRUE(glob_match("h[a-c]llo", "hbllo"));
  EXPECT_TRUE(glob_match("h[c-a]llo", "hbllo"));
  EXPECT_FALSE(glob_match("", "x"));
  EXPECT_TRUE(glob_match("", ""));
}

TEST(Glob, EscapesAndUnclosedClassesMatchAsInRedis) {
  EXPECT_TRUE(glob_match("h\\?llo", "h?llo"));
  EXPECT_FALSE(glob_match("h\\?llo", "hello"));
  EXPECT_TRUE(glob_match("[\\]]", "]"));
  EXPECT_TRUE(glob_match("x[ab", "xb"));
  EXPECT_FALSE(glob_match("x[ab", "xc"));
  EXPECT_TRUE(glob_match("\\", "\\"));
  EXPECT_TRUE(glob_match("HE*", "hello", true));
  EXPECT_FALSE(glob_match("HE*", "hello"));
  EXPECT_TRUE(glob_match("[A-C]", "b", true));
}

TEST(Glob, ManyStarsEndSoon) {
  const std::string pattern = "a*a*a*a*a*a*a*a*a*a*b", text(2000, 'a');
  EXPECT_FALSE(glob_match(pattern, text));
}

}  // namespace
}  // namespace shoal
