// SPDX-License-Identifier: MIT
#include "crash/states.h"

#include <deque>
#include <optional>

namespace shoal::crash {

namespace {

bool has(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

std::string behind(const std::string& setup, const std::string& more) {
  return setup.empty() ? more : setup + "; " + more;
}

// One command, that is not a word of ours.
bool is_plain(const Case& of) {
  const std::string operation = of.operation;
  return !of.in_parts && lines_of(operation).size() == 1 && operation[0] != '@' && operation[0] != '!';
}

std::string first_key(const Case& of) {
  const std::string operation = of.operation;
  const size_t begin = operation.find(' ');
  if (begin == std::string::npos) return "";
  return operation.substr(begin + 1, operation.find(' ', begin + 1) - begin - 1);
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
  const std::string key = first_key(base);
  if (!is_plain(base) || key.empty() || has(base.setup, "!clock") || has(base.setup, "MULTI")) return std::nullopt;
  if (!has(base.setup, (" " + key + " ").c_str())) return std::nullopt;  // there is none
  return Words{behind(base.setup, "PEXPIRE " + key + " 1; !clock 5000"), base.operation};
}

std::optional<Words> beside_a_lazy_free(const Case& base) {
  return Words{behind("SET y ~300000; SET z ~300000; DEL y z", base.setup), base.operation};
}

std::optional<Words> in_a_table_about_to_grow(const Case& base) {
  if (has(base.setup, "k#") || has(base.operation, "#")) return std::nullopt;  // it has a table of its own
  return Words{behind("@22 SET z# v", base.setup), base.operation};
}

std::optional<Words> in_reused_blocks(const Case& base) {
  const char* const litter =
      "@9 SET y# ~20; @9 SET x# ~100; @9 SET w# ~300; DEL y1 y3 y5 y6 y7; DEL x0 x2 x4 x8; DEL w1 w2 w6";
  return Words{behind(litter, base.setup), base.operation};
}

std::optional<Words> on_another_type(const Case& base) {
  const std::string key = first_key(base);
  if (!is_plain(base) || key.empty() || has(base.setup, "!") || has(base.setup, "MULTI")) return std::nullopt;
  const bool of_lists = has(base.setup, "PUSH") || has(base.operation, "PUSH") || has(base.operation, "POP");
  const std::string other = of_lists ? "HSET " + key + " f v" : "RPUSH " + key + " 1 2 3";
  return Words{behind(base.setup, "DEL " + key + "; " + other), base.operation};
}

constexpr State kStates[] = {
    {"in EXEC", in_exec},
    {"on an expired key", on_an_expired_key},
    {"beside a lazy free", beside_a_lazy_free},
    {"in a table about to grow", in_a_table_about_to_grow},
    {"in reused blocks", in_reused_blocks},
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
                       base.in_parts});
      }
    }
    return all;
  }();
  return derived;
}

}  // namespace shoal::crash
