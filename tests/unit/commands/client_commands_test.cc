// SPDX-License-Identifier: MIT
// CLIENT ...: who is attached, and which session asks.
#include <map>
#include <sstream>

#include "base/clock.h"
#include "support/redis_session.h"

namespace shoal {
namespace {

using Fields = std::map<std::string, std::string>;

Fields fields_of(const std::string& line) {
  Fields fields;
  std::istringstream words(line);
  for (std::string word; words >> word;) {
    const size_t sign = word.find('=');
    EXPECT_NE(sign, std::string::npos) << word;
    EXPECT_TRUE(fields.emplace(word.substr(0, sign), word.substr(sign + 1)).second) << word;
  }
  return fields;
}

std::vector<Fields> lines_of(const std::string& text) {
  std::vector<Fields> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(fields_of(line));
  return lines;
}

class ClientCommands : public ::testing::Test {
 protected:
  ~ClientCommands() override { set_wall_clock_offset_ms(0); }
  TestSegment segment_;
  TestSession r_{segment_};
};

TEST_F(ClientCommands, ListHasALineForEachProcessAndNoneForOneThatLeft) {
  {
    TestSession other(segment_.attach());
    EXPECT_EQ(lines_of(r_("CLIENT LIST")).at(1).at("threads"), "0");
    other("SET a 1");
    const auto both = lines_of(r_("CLIENT LIST"));
    ASSERT_EQ(both.size(), 2u);
    EXPECT_EQ(both[0].at("pid"), std::to_string(::getpid()));
    EXPECT_NE(both[0].at("id"), both[1].at("id"));
    EXPECT_EQ(both[1].at("threads"), "1");
  }
  EXPECT_EQ(lines_of(r_("CLIENT LIST")).size(), 1u);
}

TEST_F(ClientCommands, InfoCountsTheProcessesThatAreAttachedNow) {
  const auto says = [&](const char* line) { return r_("INFO").find(line) != std::string::npos; };
  {
    TestSession other(segment_.attach());
    EXPECT_TRUE(says("connected_clients:2\r\n"));
  }
  EXPECT_TRUE(says("connected_clients:1\r\n"));
}

TEST_F(ClientCommands, OnlyTheLineOfWhoAsksShowsHisSession) {
  TestSession other(segment_.attach());
  r_("SELECT 3");
  r_("CLIENT SETNAME me");
  other("CLIENT SETNAME you");
  const auto lines = lines_of(r_("CLIENT LIST"));
  ASSERT_EQ(lines.size(), 2u);
  const Fields own = {{"name", "me"}, {"db", "3"},   {"idle", "0"},   {"cmd", "client|list"}, {"flags", "U"},
                      {"sub", "0"},   {"resp", "3"}, {"multi", "-1"}, {"role", "client"}};
  for (const auto& [field, value] : own) EXPECT_EQ(lines[0].at(field), value) << field;
  const Fields unknown = {{"name", ""}, {"db", "-1"}, {"idle", "-1"}, {"cmd", "NULL"}, {"sub", "-1"}, {"resp", "-1"}};
  for (const auto& [field, value] : unknown) EXPECT_EQ(lines[1].at(field), value) << field;
  EXPECT_EQ(lines_of(other("CLIENT LIST"))[1].at("name"), "you");
}

TEST_F(ClientCommands, AgeIsTheTimeSinceTheProcessCame) {
  const auto age = [&] { return std::stoll(fields_of(r_("CLIENT INFO")).at("age")); };
  const int64_t before = age();
  set_wall_clock_offset_ms(7'200'000);
  const int64_t later = age();
  set_wall_clock_offset_ms(0);
  EXPECT_GE(later, before + 7200);
  EXPECT_LE(later, age() + 7200);
  set_wall_clock_offset_ms(-7'200'000);
  EXPECT_EQ(age(), 0);
}

TEST_F(ClientCommands, InfoIsTheOwnLineOfTheList) {
  TestSession other(segment_.attach());
  const auto line = fields_of(other("CLIENT INFO"));
  EXPECT_EQ(line.at("id"), other("CLIENT ID"));
  EXPECT_EQ(line.at("cmd"), "client|info");
  EXPECT_EQ(line.at("id"), lines_of(other("CLIENT LIST"))[1].at("id"));
}

TEST_F(ClientCommands, InsideExecTheLineSaysSo) {
  r_("MULTI");
  r_("CLIENT INFO");
  r_("CLIENT LIST");
  const std::string reply = r_("EXEC");
  const Fields line = fields_of(reply.substr(1, reply.find('\n')));
  EXPECT_EQ(line.at("flags"), "xU");
  EXPECT_EQ(line.at("multi"), "2");
  EXPECT_EQ(line.at("cmd"), "exec");
  EXPECT_EQ(fields_of(r_("CLIENT INFO")).at("multi"), "-1");
}

TEST_F(ClientCommands, NoTwoSessionsOfASegmentHaveOneId) {
  TestSession same(segment_), other(segment_.attach());
  EXPECT_NE(r_("CLIENT ID"), same("CLIENT ID"));
  const uint64_t id = other.session().id();
  EXPECT_FALSE(same_process(id, r_.session().id()));
  EXPECT_TRUE(same_process(same.session().id(), r_.session().id()));
  EXPECT_EQ(r_("HELLO").find("id: " + r_("CLIENT ID")), r_("HELLO").find("id: "));
}

TEST_F(ClientCommands, IdOfASlotsNextProcessIsAnother) {
  uint64_t first;
  {
    TestSession other(segment_.attach());
    first = other.session().id();
    EXPECT_EQ(lines_of(r_("CLIENT LIST ID " + std::to_string(first))).size(), 1u);
  }
  TestSession next(segment_.attach());
  EXPECT_FALSE(same_process(first, next.session().id()));
  EXPECT_EQ(r_("CLIENT LIST ID " + std::to_string(first)), "");
}

TEST_F(ClientCommands, ListByIdHasTheLinesInTheOrderAskedFor) {
  TestSession other(segment_.attach());
  const std::string own = r_("CLIENT ID"), its = other("CLIENT ID");
  const auto lines = lines_of(r_("CLIENT LIST ID " + its + " 0 7 -1 " + own));
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0].at("db"), "-1");
  EXPECT_EQ(lines[1].at("id"), own);
  EXPECT_EQ(r_("CLIENT LIST ID x"), "(error) ERR Invalid client ID");
  EXPECT_EQ(r_("CLIENT LIST ID"), "(error) ERR syntax error");
}

TEST_F(ClientCommands, AllAreOfTheNormalType) {
  EXPECT_EQ(lines_of(r_("CLIENT LIST TYPE normal")).size(), 1u);
  for (const char* type : {"pubsub", "MASTER", "replica", "slave"})
    EXPECT_EQ(r_(std::string("CLIENT LIST TYPE ") + type), "") << type;
  EXPECT_EQ(r_("CLIENT LIST TYPE x"), "(error) ERR Unknown client type 'x'");
}

TEST_F(ClientCommands, NoEvictIsAcceptedWithItsTwoWords) {
  EXPECT_EQ(r_("CLIENT NO-EVICT ON"), "OK");
  EXPECT_EQ(r_("CLIENT NO-EVICT off"), "OK");
  EXPECT_EQ(r_("CLIENT NO-EVICT x"), "(error) ERR syntax error");
}

TEST(ClientId, IsPositiveAndKeepsItsPartsApart) {
  EXPECT_GT(static_cast<int64_t>(client_id(65'535, ~uint64_t{0}, ~uint64_t{0})), 0);
  EXPECT_TRUE(same_process(client_id(3, 5, 1), client_id(3, 5, 0)));
  EXPECT_FALSE(same_process(client_id(3, 5, 1), client_id(3, 6, 1)));
  EXPECT_FALSE(same_process(client_id(3, 5, 1), client_id(4, 5, 1)));
  EXPECT_NE(client_id(3, 5, 1), client_id(3, 5, 2));
}

}  // namespace
}  // namespace shoal
