// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>

#include "commands/command.h"
#include "tools/views.h"

namespace shoal::tool {
namespace {

// After a change of the table: ./dev build, then replace the tables in docs/COMMANDS.md by what
// `shoal commands --markdown` prints.
TEST(CommandTable, DocumentShowsTheTablesOfThisTable) {
  std::ifstream file(SHOAL_SOURCE_DIR "/docs/COMMANDS.md");
  std::stringstream text;
  text << file.rdbuf();
  const size_t tables = text.str().find("## Strings\n");
  ASSERT_NE(tables, std::string::npos);
  EXPECT_EQ(text.str().substr(tables), commands_markdown());
}

TEST(CommandTable, EveryCommandIsPrintedOnce) {
  std::set<std::string> printed;
  const Json document = commands_document();
  for (const Json& row : document["commands"]) EXPECT_TRUE(printed.insert(row["command"]).second) << row;
  size_t commands = 0;
  for (const Command& command : command_table()) commands += command.handler != nullptr;
  EXPECT_EQ(printed.size(), commands) << "a group is missing in tools/commands.cc";
}

}  // namespace
}  // namespace shoal::tool
