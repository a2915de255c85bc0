// SPDX-License-Identifier: MIT
#include "segment/url.h"

#include <gtest/gtest.h>

namespace shoal {
namespace {

std::string name_of(const std::string& text) {
  auto url = SegmentUrl::parse(text);
  return url.ok() ? url.value().name.name() : "refused";
}

TEST(SegmentUrl, PlainNameAndBothFormsOfTheUrlNameTheSameSegment) {
  EXPECT_EQ(name_of("Shop"), "Shop");
  EXPECT_EQ(name_of("shoal://Shop"), "Shop");
  EXPECT_EQ(name_of("shoal:///Shop"), "Shop");
  EXPECT_EQ(name_of("shoal://Shop/"), "Shop");
}

TEST(SegmentUrl, DatabaseAndOptionsAreRead) {
  auto url = SegmentUrl::parse("shoal://shop/15?max_size=64mb&daemon=0&empty=");
  ASSERT_TRUE(url.ok());
  EXPECT_EQ(url.value().database, 15u);
  const std::vector<std::pair<std::string, std::string>> expected{{"max_size", "64mb"}, {"daemon", "0"}, {"empty", ""}};
  EXPECT_EQ(url.value().options, expected);
}

TEST(SegmentUrl, BadPartsAreRefused) {
  for (const char* bad : {"", "shoal://", "redis://shop", "shoal://shop/16", "shoal://shop/-1", "shoal://shop/1x",
                          "shoal://shop/1/2", "shoal://shop?flag", "shoal://../x", "a b", "shoal://shop/4294967296"}) {
    EXPECT_EQ(name_of(bad), "refused") << bad;
  }
}

}  // namespace
}  // namespace shoal
