// SPDX-License-Identifier: MIT
// commands.cc: the command table, for programs and as the tables of docs/COMMANDS.md.
#include "commands/command.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "tools/views.h"

namespace shoal::tool {

namespace {

struct GroupName {
  Group group;
  const char* name;
};
constexpr std::array kGroups = {
    GroupName{Group::kString, "Strings"},
    GroupName{Group::kList, "Lists"},
    GroupName{Group::kHash, "Hashes"},
    GroupName{Group::kSet, "Sets"},
    GroupName{Group::kSortedSet, "Sorted sets"},
    GroupName{Group::kGeneric, "Keys of any type"},
    GroupName{Group::kPubSub, "Channels"},
    GroupName{Group::kTransactions, "Transactions"},
    GroupName{Group::kConnection, "The session"},
    GroupName{Group::kServer, "The segment"},
};

struct FlagName {
  uint32_t flag;
  const char* name;
};
constexpr std::array kFlags = {
    FlagName{kWrite, "write"},         FlagName{kReadOnly, "readonly"},    FlagName{kFast, "fast"},
    FlagName{kBlocking, "blocking"},   FlagName{kAllShards, "all shards"}, FlagName{kSession, "session"},
    FlagName{kNotInMulti, "no multi"},
};

// "CLIENT|SETNAME" is called as "CLIENT SETNAME".
std::string name_of(const Command& command) {
  std::string name = command.name;
  std::replace(name.begin(), name.end(), '|', ' ');
  return name;
}

// Words with the command's name, as they are counted: "3", "2 or 3", "3 or more".
std::string arity_of(const Command& command) {
  const std::string least = std::to_string(command.arity.least), most = std::to_string(command.arity.most);
  if (command.arity.least == command.arity.most) return least;
  if (command.arity.most == Arity::at_least(0).most) return least + " or more";
  return least + (command.arity.most - command.arity.least == 1 ? " or " : " to ") + most;
}

std::vector<std::string> flags_of(const Command& command) {
  std::vector<std::string> names;
  for (const FlagName& each : kFlags) {
    if ((command.flags & each.flag) != 0) names.emplace_back(each.name);
  }
  return names;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

// A family (CLIENT) is no command by itself: its members are.
template <typename Visit>
void for_each_command(Group group, Visit&& visit) {
  for (const Command& command : command_table()) {
    if (command.group == group && command.handler != nullptr) visit(command);
  }
}

}  // namespace

Json commands_document() {
  Json rows = Json::array();
  for (const GroupName& group : kGroups) {
    for_each_command(group.group, [&](const Command& command) {
      rows.push_back({{"command", name_of(command)},
                      {"group", group.name},
                      {"words", arity_of(command)},
                      {"flags", joined(flags_of(command))},
                      {"complexity", command.complexity},
                      {"summary", command.summary}});
    });
  }
  return {{"commands", rows}};
}

std::string commands_markdown() {
  std::string text;
  for (const GroupName& group : kGroups) {
    text += (text.empty() ? "## " : "\n## ") + std::string(group.name) +
            "\n\n| command | words | what it does | complexity | flags |\n|---|---|---|---|---|\n";
    for_each_command(group.group, [&](const Command& command) {
      text += "| " + name_of(command) + " | " + arity_of(command) + " | " + command.summary + " | " +
              command.complexity + " | " + joined(flags_of(command)) + " |\n";
    });
  }
  return text;
}

}  // namespace shoal::tool
