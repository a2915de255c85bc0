// SPDX-License-Identifier: MIT
#include "crash/states.h"

#include <deque>
#include <iterator>
#include <optional>
#include <sstream>

#include "commands/command.h"
#include "crash/world.h"

namespace shoal::crash {

namespace {

bool has(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

std::string behind(const std::string& setup, const std::string& more) {
  return setup.empty() ? more : setup + "; " + more;
}

// One command, that is not a word of ours.
bool is_plain(const Case& of) {
  const std::string operation = of.operation;
  return !of.is(kInParts) && lines_of(operation).size() == 1 && operation[0] != '@' && operation[0] != '!';
}

std::vector<std::string> words_of(const std::string& line) {
  std::istringstream in(line);
  return {std::istream_iterator<std::string>(in), {}};
}

std::vector<std::string> keys_of(const std::string& line) {
  const std::vector<std::string> words = words_of(line);
  const Command* command = find_command(words[0]);
  if (command == nullptr || command->keys.first == 0) return {};
  size_t first = command->keys.first, step = command->keys.step, end = words.size();
  if ((command->flags & kNumKeys) != 0) {
    end = first + 1 + std::stoull(words.at(first));
    ++first;
  } else if (command->keys.last > 0) {
    end = command->keys.last + 1;
  }
  std::vector<std::string> keys;
  for (size_t at = first; at < std::min(end, words.size()); at += step) keys.push_back(words[at]);
  return keys;
}

// The first of its keys that is there when it begins; empty if there is none.
std::string existing_key(const Case& of) {
  const std::vector<std::string> keys = keys_of(of.operation);
  if (keys.empty()) return "";
  World world;
  for (const std::string& line : lines_of(of.setup)) world.run(line);
  for (const std::string& key : keys) {
    if (world.run("EXISTS " + key) == "1") return key;
  }
  return "";
}

struct Words {
  std::string setup, operation;
};

struct State {
  const char* name;
  std::optional<Words> (*of)(const Case& base);
};

std::optional<Words> in_exec(const Case& base) {
  if (!is_plain(base) || has(base.setup, "MULTI") || std::string(base.operation) == "EXEC") return std::nullopt;
  return Words{behind(base.setup, std::string("MULTI; ") + base.operation), "EXEC"};
}

std::optional<Words> on_an_expired_key(const Case& base) {
  if (!is_plain(base) || has(base.setup, "!clock") || has(base.setup, "MULTI")) return std::nullopt;
  const std::string key = existing_key(base);
  if (key.empty()) return std::nullopt;
  return Words{behind(base.setup, "PEXPIRE " + key + " 1; !clock 5000"), base.operation};
}

// The state as it is when the operation begins: behind the setup, but before a MULTI, which would queue it.
std::optional<Words> at_last(const Case& base, const std::string& more) {
  const std::string setup = base.setup;
  if (has(setup, "!leave") || has(setup, "!renew")) return std::nullopt;  // how the thread left is their state
  if (has(base.operation, "!cancel")) return std::nullopt;                // another command gives up the one that waits
  const size_t multi = setup.find("MULTI");
  if (multi == std::string::npos) return Words{behind(setup, more), base.operation};
  return Words{setup.substr(0, multi) + more + "; " + setup.substr(multi), base.operation};
}

std::optional<Words> beside_a_lazy_free(const Case& base) {
  if (has(base.setup, "!fill")) return std::nullopt;  // a full segment frees what was removed first
  return at_last(base, "SET p ~700000; SET v ~700000; DEL p v");
}

std::optional<Words> in_a_table_about_to_grow(const Case& base) { return at_last(base, "!brink"); }

std::optional<Words> in_reused_blocks(const Case& base) {
  const char* const litter =
      "@9 SET y# ~20; @9 SET x# ~100; @9 SET w# ~300; DEL y1 y3 y5 y6 y7; DEL x0 x2 x4 x8; DEL w1 w2 w6";
  return Words{behind(litter, base.setup), base.operation};
}

std::optional<Words> on_another_type(const Case& base) {
  if (!is_plain(base) || has(base.setup, "!") || has(base.setup, "MULTI")) return std::nullopt;
  const std::vector<std::string> keys = keys_of(base.operation);
  if (keys.empty()) return std::nullopt;
  const std::string& key = keys[0];
  const bool of_lists = has(base.setup, "PUSH") || has(base.operation, "PUSH") || has(base.operation, "POP");
  const std::string other = of_lists ? "HSET " + key + " f v" : "RPUSH " + key + " 1 2 3";
  return Words{behind(base.setup, "DEL " + key + "; " + other), base.operation};
}

// Its first two keys, in the first database: the others' hashes differ.
std::optional<Words> among_colliding_keys(const Case& base) {
  if (!is_plain(base) || has(base.setup, "SELECT") || has(base.setup, "FLUSH")) return std::nullopt;
  if (has(base.setup, "!collide")) return std::nullopt;
  const std::vector<std::string> keys = keys_of(base.operation);
  if (keys.empty()) return std::nullopt;
  std::string collide = "!collide";
  if (keys[0][0] == '~') return std::nullopt;  // a long one
  for (size_t i = 0; i < std::min<size_t>(keys.size(), 2); ++i) collide += " " + keys[i];
  return Words{behind(collide, base.setup), base.operation};
}

constexpr State kStates[] = {
    {"in EXEC", in_exec},
    {"on an expired key", on_an_expired_key},
    {"beside a lazy free", beside_a_lazy_free},
    {"in a table about to grow", in_a_table_about_to_grow},
    {"in reused blocks", in_reused_blocks},
    {"among colliding keys", among_colliding_keys},
    {"on another type", on_another_type},
};

}  // namespace

const std::vector<Case>& cases_in_other_states() {
  static std::deque<std::string> texts;  // what the cases point into
  static const std::vector<Case> derived = [] {
    const auto kept = [](std::string text) { return texts.emplace_back(std::move(text)).c_str(); };
    std::vector<Case> all;
    for (const State& state : kStates) {
      for (const Case& base : cases()) {
        const std::optional<Words> words = state.of(base);
        if (!words) continue;
        all.push_back({kept(std::string(base.name) + ", " + state.name), kept(words->setup), kept(words->operation),
                       base.traits});
      }
    }
    return all;
  }();
  return derived;
}

}  // namespace shoal::crash
