// SPDX-License-Identifier: MIT
#include "tools/report.h"

#include <gtest/gtest.h>

namespace shoal::tool {
namespace {

TEST(Report, UnitInTheKeyScalesTheValueForPeople) {
  EXPECT_EQ(cell_text("used_bytes", 4096), "4 KiB");
  EXPECT_EQ(cell_text("used_bytes", 1536 * 1024), "1.5 MiB");
  EXPECT_EQ(cell_text("used_bytes", 12), "12 B");
  EXPECT_EQ(cell_text("age_ms", 999), "999 ms");
  EXPECT_EQ(cell_text("age_ms", 90'000), "1.5 min");
  EXPECT_EQ(cell_text("count", 4096), "4096");
  EXPECT_EQ(cell_text("alive", true), "yes");
  EXPECT_EQ(cell_text("pid", nullptr), "-");
}

TEST(Report, ArrayOfObjectsIsATableWithNumbersToTheRight) {
  const Json document = Json::array({{{"name", "orders"}, {"lag", 5}, {"size_bytes", 1024}},
                                     {{"name", "a"}, {"lag", 1234}, {"size_bytes", nullptr}}});
  EXPECT_EQ(for_people(document),
            "name     lag   size\n"
            "orders     5  1 KiB\n"
            "a       1234      -\n");
}

TEST(Report, NestedObjectsAreSectionsAndEmptyOnesSaySo) {
  const Json document = {{"name", "shop"}, {"memory", {{"used_bytes", 2048}}}, {"queues", Json::array()}};
  EXPECT_EQ(for_people(document),
            "name  shop\n"
            "\n"
            "memory\n"
            "  used  2 KiB\n"
            "\n"
            "queues: none\n");
}

TEST(Report, LettersOfManyBytesKeepTheColumnsStraight) {
  const Json document = Json::array({{{"name", "caf\xc3\xa9"}, {"n", 1}}, {{"name", "tea"}, {"n", 2}}});
  EXPECT_EQ(for_people(document), "name  n\ncaf\xc3\xa9  1\ntea   2\n");
}

TEST(Report, BytesThatAreNoTextDoNotStopTheOutputForPrograms) {
  const Json document = {{"channel", "a\xff"}};
  EXPECT_NE(for_programs(document).find("a\xef\xbf\xbd"), std::string::npos);
}

TEST(Report, BytesThatATerminalWouldObeyAreWrittenOut) {
  EXPECT_EQ(cell_text("channel", "a\x1b[2J\nb"), "a\\x1b[2J\\x0ab");
}

TEST(Report, ProgramsGetTheDocumentItself) {
  const Json document = {{"used_bytes", 4096}, {"alive", true}};
  EXPECT_EQ(Json::parse(for_programs(document)), document);
}

}  // namespace
}  // namespace shoal::tool
