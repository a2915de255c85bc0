// SPDX-License-Identifier: MIT
// cmd_config.cc: CONFIG: the options of Redis's that say something true of a segment.
//
// What is so was settled when the segment was created, or is so by Shoal's nature. CONFIG SET accepts what is so
// already, in any way of writing it, and refuses the rest with Redis's words: nothing is accepted that would not hold.
#include "commands/cmd_config.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "commands/command.h"
#include "commands/lower_case.h"

namespace shoal {

namespace {

enum class Kind : uint8_t { kYesNo, kInteger, kMemory, kPolicy, kSavePoints, kEvents, kText };

struct Option {
  const char* name;
  Kind kind;
  const char* text;                              // its value, of those that are no number
  uint64_t (*number)(const Segment&) = nullptr;  // of those that are
  int64_t least = 0, most = INT32_MAX;
};

constexpr Option kOptions[] = {
    {"appendonly", Kind::kYesNo, "no"},
    {"databases", Kind::kInteger, nullptr, [](const Segment&) -> uint64_t { return kDatabaseCount; }, 1},
    {"maxclients", Kind::kInteger, nullptr, [](const Segment& s) -> uint64_t { return s.slot_count(); }, 1, UINT32_MAX},
    {"maxmemory", Kind::kMemory, nullptr, [](const Segment& s) -> uint64_t { return s.header().max_size; }, INT64_MIN,
     INT64_MAX},
    {"maxmemory-policy", Kind::kPolicy, "noeviction"},
    {"notify-keyspace-events", Kind::kEvents, ""},
    {"proto-max-bulk-len", Kind::kMemory, nullptr, [](const Segment&) -> uint64_t { return kValueBytesMax; }, kMiB,
     INT64_MAX},
    {"requirepass", Kind::kText, ""},
    {"save", Kind::kSavePoints, ""},
    {"stop-writes-on-bgsave-error", Kind::kYesNo, "no"},
    {"timeout", Kind::kInteger, nullptr, [](const Segment&) -> uint64_t { return 0; }},
};

std::string value_of(const Option& option, const Segment& segment) {
  return option.number == nullptr ? option.text : std::to_string(option.number(segment));
}

const Option* find_option(Bytes name) {
  const std::string wanted = lower_case(name);
  const Option* found = std::find_if(std::begin(kOptions), std::end(kOptions),
                                     [&](const Option& option) { return wanted == option.name; });
  return found == std::end(kOptions) ? nullptr : found;
}

// "1gb", "64k", "100": as Redis reads them. Too large a number is the largest.
bool parse_memory(Bytes text, uint64_t& bytes) {
  const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const std::string unit = lower_case(text.substr(digits));
  constexpr std::pair<const char*, uint64_t> kUnits[] = {
      {"", 1}, {"b", 1}, {"k", 1000}, {"kb", kKiB}, {"m", 1000'000}, {"mb", kMiB}, {"g", 1000'000'000}, {"gb", kGiB}};
  for (const auto& [name, factor] : kUnits) {
    if (unit != name) continue;
    bytes = std::strtoull(std::string(text.substr(0, digits)).c_str(), nullptr, 10) * factor;
    return true;
  }
  return false;
}

// "3600 1 300 100": pairs of seconds, at least 1, and changes. As Redis, which takes an empty word for a 0.
bool parse_save_points(Bytes text) {
  size_t words = 0;
  for (size_t at = 0; at <= text.size(); ++words) {
    const size_t end = std::min(text.find(' ', at), text.size());
    const std::string word(text.substr(at, end - at));
    char* rest = nullptr;
    const long long number = std::strtoll(word.c_str(), &rest, 10);
    if (*rest != '\0' || number < (words % 2 == 0 ? 1 : 0)) return false;
    at = end + 1;
  }
  return words % 2 == 0;
}

constexpr const char* kPolicies[] = {"VOLATILE-LRU", "VOLATILE-LFU", "VOLATILE-RANDOM", "VOLATILE-TTL",
                                     "ALLKEYS-LRU",  "ALLKEYS-LFU",  "ALLKEYS-RANDOM",  "NOEVICTION"};
constexpr const char* kOtherPolicy =
    "argument(s) must be one of the following: volatile-lru, volatile-lfu, volatile-random, volatile-ttl, allkeys-lru, "
    "allkeys-lfu, allkeys-random, noeviction";

std::string check_number(const Option& option, uint64_t number) {
  if (static_cast<int64_t>(number) >= option.least && static_cast<int64_t>(number) <= option.most) return {};
  return "argument must be between " + std::to_string(option.least) + " and " + std::to_string(option.most) +
         " inclusive";
}

// Why Redis would refuse the value whatever is set now; empty if it would not. `wanted` becomes what value_of() says.
std::string check_value(const Option& option, std::string& wanted) {
  uint64_t bytes = 0;
  int64_t number = 0;
  switch (option.kind) {
    case Kind::kYesNo:
      wanted = lower_case(wanted);
      return wanted == "yes" || wanted == "no" ? "" : "argument must be 'yes' or 'no'";
    case Kind::kInteger:
      if (!parse_integer(wanted, number)) return "argument couldn't be parsed into an integer";
      return check_number(option, static_cast<uint64_t>(number));
    case Kind::kMemory:
      if (!parse_memory(wanted, bytes)) return "argument must be a memory value";
      wanted = std::to_string(bytes);
      return check_number(option, bytes);
    case Kind::kPolicy: {
      const bool known = std::any_of(std::begin(kPolicies), std::end(kPolicies),
                                     [&](const char* policy) { return is_word(wanted, policy); });
      wanted = lower_case(wanted);
      return known ? "" : kOtherPolicy;
    }
    case Kind::kSavePoints:
      return wanted.empty() || parse_save_points(wanted) ? "" : "Invalid save parameters";
    case Kind::kEvents:
      return wanted.find_first_not_of("Ag$lshzxeKEtmdn") == std::string::npos
                 ? ""
                 : "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.";
    case Kind::kText:
      break;
  }
  return {};
}

void refuse(Call& call, Bytes name, const std::string& why) {
  call.error("ERR CONFIG SET failed (possibly related to argument '" + std::string(name) + "') - " + why);
}

}  // namespace

// An option that is asked for by its name comes back under the name that was given, as in Redis.
void cmd_config_get(Call& call) {
  std::vector<std::pair<std::string, const Option*>> found;
  const auto add = [&](Bytes name, const Option* option) {
    const bool again = std::any_of(found.begin(), found.end(), [&](const auto& each) { return each.second == option; });
    if (option != nullptr && !again) found.emplace_back(name, option);
  };
  for (size_t i = 2; i < call.argc(); ++i) {
    const Bytes pattern = call.arg(i);
    if (pattern.find_first_of("[*?") == Bytes::npos) {
      add(pattern, find_option(pattern));
      continue;
    }
    for (const Option& option : kOptions) {
      if (glob_match(pattern, option.name, true)) add(option.name, &option);
    }
  }
  call.reply().map(static_cast<uint32_t>(found.size()));
  for (const auto& [name, option] : found) {
    call.reply().bulk(name);
    call.reply().bulk(value_of(*option, call.segment()));
  }
}

void cmd_config_set(Call& call) {
  if (call.argc() % 2 != 0) return call.error(kSyntaxError);
  std::vector<const Option*> options;
  for (size_t i = 2; i < call.argc(); i += 2) {
    const Option* option = find_option(call.arg(i));
    if (option == nullptr) {
      return call.error("ERR Unknown option or number of arguments for CONFIG SET - '" +
                        std::string(call.arg(i).substr(0, call.arg(i).find('\0'))) + "'");
    }
    if (std::find(options.begin(), options.end(), option) != options.end())
      return refuse(call, call.arg(i), "duplicate parameter");
    options.push_back(option);
  }
  for (size_t i = 0; i < options.size(); ++i) {
    std::string wanted(call.arg(2 * i + 3));
    std::string why = check_value(*options[i], wanted);
    if (why.empty() && wanted != value_of(*options[i], call.segment())) why = "can't set immutable config";
    if (!why.empty()) return refuse(call, options[i]->name, why);
  }
  call.reply().ok();
}

void cmd_config_resetstat(Call& call) { call.reply().ok(); }
void cmd_config_rewrite(Call& call) { call.error("ERR The server is running without a config file"); }

}  // namespace shoal
