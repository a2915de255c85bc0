// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "tools/views.h"

namespace shoal::tool {
namespace {

TEST(LayoutMap, RegionsFollowEachOtherUpToTheSegmentsEnd) {
  uint64_t end = 0;
  const Json document = layout_document();
  for (const Json& region : document["regions"]) {
    EXPECT_EQ(region["offset"].get<uint64_t>(), end) << region["region"];
    end = region["end"].get<uint64_t>();
  }
  EXPECT_EQ(end, kDefaultMaxSizeBytes);
}

// A difference means that the map changed: raise kLayoutVersion once released, then
// `shoal inspect layout > tests/golden/layout.txt`.
TEST(LayoutMap, PrintedMapIsTheGoldenOne) {
  std::ifstream file(SHOAL_SOURCE_DIR "/tests/golden/layout.txt");
  std::stringstream golden;
  golden << file.rdbuf();
  EXPECT_EQ(layout_text(), golden.str());
}

}  // namespace
}  // namespace shoal::tool
