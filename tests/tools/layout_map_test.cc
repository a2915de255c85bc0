// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>

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

std::string content(const char* path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// A difference means that the map changed: raise kLayoutVersion once released, then
// `shoal inspect layout > tests/golden/layout.txt`, and the same text goes into ARCHITECTURE.md.
TEST(LayoutMap, PrintedMapIsTheGoldenOne) {
  EXPECT_EQ(layout_text(), content(SHOAL_SOURCE_DIR "/tests/golden/layout.txt"));
}

TEST(LayoutMap, ArchitectureShowsThePrintedMap) {
  const std::string block = "\n```\n" + layout_text() + "```\n";
  EXPECT_NE(content(SHOAL_SOURCE_DIR "/ARCHITECTURE.md").find(block), std::string::npos)
      << "ARCHITECTURE.md, section 3, should show:" << block;
}

}  // namespace
}  // namespace shoal::tool
