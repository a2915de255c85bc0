// SPDX-License-Identifier: MIT
#include "tools/torture/registers.h"

#include <charconv>

namespace shoal::tool::chaos {

namespace {

constexpr uint64_t kValueMax = 9000;

std::string name_of(uint32_t actor) { return "a" + std::to_string(actor); }

// The four places of a bundle, in shards of their own; EXEC writes all of them.
struct Bundle {
  std::string text, hash, scores, list;
  Bundle(uint32_t actor, uint32_t reg)
      : text(key("torture:bundle", actor, reg)),
        hash(key("torture:bundle:h", reg)),
        scores(key("torture:bundle:z", reg)),
        list(key("torture:bundle:l", actor, reg)) {}
};

Answer write_bundle(Talk& talk, uint32_t actor, uint32_t reg, uint64_t number) {
  const Bundle at(actor, reg);
  const std::string name = name_of(actor), text = std::to_string(number);
  if (!is_there(Kind::kBundle, number)) {
    return talk.together({{"DEL", at.text, at.list}, {"HDEL", at.hash, name}, {"ZREM", at.scores, name}});
  }
  return talk.together({{"SET", at.text, speech(actor, number, kValueMax)},
                        {"HSET", at.hash, name, text},
                        {"ZADD", at.scores, text, name},
                        {"DEL", at.list},
                        {"RPUSH", at.list, text, text}});
}

Seen none() { return {.there = false, .known = false, .number = 0, .problem = {}}; }
Seen wrong(const std::string& problem) { return {.there = false, .known = false, .number = 0, .problem = problem}; }

Seen number_of(const Answer& answer) {
  if (answer.null()) return none();
  Seen seen{.there = true, .known = true, .number = static_cast<uint64_t>(answer.number), .problem = {}};
  if (answer.kind == Answer::Kind::kNumber) return seen;
  const char* end = answer.text.data() + answer.text.size();
  const auto parsed = std::from_chars(answer.text.data(), end, seen.number);
  if (answer.kind != Answer::Kind::kText || parsed.ec != std::errc{} || parsed.ptr != end) {
    return wrong("no number: " + answer.text.substr(0, 60));
  }
  return seen;
}

Seen spoken_by(uint32_t actor, const Answer& answer) {
  if (answer.null()) return none();
  const auto said = parse_speech(answer.text, kValueMax);
  if (answer.kind != Answer::Kind::kText || !said || said->actor != actor) {
    return wrong("torn, or of somebody else: " + answer.text.substr(0, 60));
  }
  return {.there = true, .known = true, .number = said->number, .problem = {}};
}

Seen read_bundle(Talk& talk, uint32_t actor, uint32_t reg) {
  const Bundle at(actor, reg);
  const std::string name = name_of(actor);
  Answer answer;
  do {
    answer = talk.together(
        {{"GET", at.text}, {"HGET", at.hash, name}, {"ZSCORE", at.scores, name}, {"LRANGE", at.list, "0", "-1"}});
  } while (answer.refused() && is_convicted(answer.text));
  if (answer.kind != Answer::Kind::kMany || answer.items.size() != 4) return wrong(answer.text);
  const Seen parts[] = {spoken_by(actor, answer.items[0]), number_of(answer.items[1]), number_of(answer.items[2])};
  for (const Seen& part : parts) {
    if (!part.problem.empty()) return part;
    if (part.there != parts[0].there || part.number != parts[0].number) {
      return wrong("half of a transaction: " + parts[0].text() + " and " + part.text());
    }
  }
  const auto& list = answer.items[3].items;
  if (list.size() != (parts[0].there ? 2u : 0u)) return wrong("half of a transaction: the list");
  for (const Answer& item : list) {
    if (number_of(item).number != parts[0].number) return wrong("half of a transaction: the list's " + item.text);
  }
  return parts[0];
}

}  // namespace

bool Seen::fits(Kind kind, uint64_t from, uint64_t to) const noexcept {
  if (known) return from <= number && number <= to;
  for (uint64_t each = from; each <= to && each < from + 9; ++each) {
    if (is_there(kind, each) == there) return true;
  }
  return false;
}

std::string Seen::text() const {
  if (!problem.empty()) return problem;
  return !there ? "nothing" : known ? std::to_string(number) : "something";
}

std::string key(const char* what, uint64_t a) { return std::string(what) + ":" + std::to_string(a); }
std::string key(const char* what, uint64_t a, uint64_t b) { return key(what, a) + ":" + std::to_string(b); }

std::string speech(uint32_t actor, uint64_t number, uint64_t longest) {
  std::string text = std::to_string(actor) + " " + std::to_string(number) + " ";
  const uint64_t mixed = (number + 1) * 0x9e37'79b9'7f4a'7c15u + actor;
  const uint64_t length = (mixed >> 40) % ((mixed >> 33) % 8 == 0 ? longest : longest / 20 + 1);
  text.reserve(text.size() + length);
  for (uint64_t i = 0; i < length; ++i) text += static_cast<char>('a' + (number + i) % 26);
  return text;
}

std::optional<Said> parse_speech(Bytes text, uint64_t longest) {
  Said said{};
  const char* end = text.data() + text.size();
  const auto actor = std::from_chars(text.data(), end, said.actor);
  if (actor.ec != std::errc{} || actor.ptr == end) return std::nullopt;
  const auto number = std::from_chars(actor.ptr + 1, end, said.number);
  if (number.ec != std::errc{} || text != speech(said.actor, said.number, longest)) return std::nullopt;
  return said;
}

Answer write_register(Talk& talk, uint32_t actor, uint32_t reg, uint64_t number) {
  const Kind kind = kind_of(reg);
  const bool there = is_there(kind, number);
  const std::string name = name_of(actor), text = std::to_string(number);
  switch (kind) {
    case Kind::kString:
      return there ? talk({"SET", key("torture:string", actor, reg), speech(actor, number, kValueMax)})
                   : talk({"DEL", key("torture:string", actor, reg)});
    case Kind::kField:
      return there ? talk({"HSET", key("torture:hash", reg), name, text})
                   : talk({"HDEL", key("torture:hash", reg), name});
    case Kind::kScore:
      return there ? talk({"ZADD", key("torture:scores", reg), text, name})
                   : talk({"ZREM", key("torture:scores", reg), name});
    case Kind::kMember:
      return talk({there ? "SADD" : "SREM", key("torture:set", reg), name});
    case Kind::kBundle:
      break;
  }
  return write_bundle(talk, actor, reg, number);
}

Seen read_register(Talk& talk, uint32_t actor, uint32_t reg) {
  const std::string name = name_of(actor);
  switch (kind_of(reg)) {
    case Kind::kString:
      return spoken_by(actor, talk({"GET", key("torture:string", actor, reg)}));
    case Kind::kField:
      return number_of(talk({"HGET", key("torture:hash", reg), name}));
    case Kind::kScore:
      return number_of(talk({"ZSCORE", key("torture:scores", reg), name}));
    case Kind::kMember: {
      const Answer answer = talk({"SISMEMBER", key("torture:set", reg), name});
      if (answer.kind != Answer::Kind::kNumber) return wrong(answer.text);
      return {.there = answer.number == 1, .known = false, .number = 0, .problem = {}};
    }
    case Kind::kBundle:
      break;
  }
  return read_bundle(talk, actor, reg);
}

Line read_line(Talk& talk, uint32_t actor) {
  const Answer answer = talk({"LRANGE", key("torture:line", actor), "0", "-1"});
  Line line;
  if (answer.refused() || answer.failed()) line.problem = answer.text;
  for (const Answer& item : answer.items) {
    const Seen seen = number_of(item);
    if (!seen.problem.empty()) {
      line.problem = seen.problem;
    } else if (line.last != 0 && seen.number != line.last + 1) {
      line.problem = std::to_string(seen.number) + " behind " + std::to_string(line.last);
    }
    if (line.first == 0) line.first = seen.number;
    line.last = seen.number;
  }
  return line;
}

}  // namespace shoal::tool::chaos
