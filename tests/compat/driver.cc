// SPDX-License-Identifier: MIT
// driver.cc: a segment behind stdin and stdout that speaks RESP, for tests that compare Shoal with a real server
// without any
// binding in between. Commands come as RESP arrays; SELECT, MULTI and the like work as on a connection. `HELLO 3`
// makes the
// replies RESP3. Blocking commands wait in this thread. The segment is removed at the end.
//
// Beside Redis's commands: SHOAL.CHECK answers OK if every value in the segment is sound, SHOAL.SHIFT ms moves the
// wall clock.
#include <unistd.h>

#include <cstdio>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "commands/session.h"
#include "keyspace/waiters.h"

namespace shoal {
namespace {

bool read_line(std::string& line) {
  line.clear();
  for (int c; (c = std::getchar()) != EOF;) {
    if (c == '\n') return true;
    if (c != '\r') line += static_cast<char>(c);
  }
  return false;
}

bool read_command(std::vector<std::string>& words) {
  std::string line;
  if (!read_line(line) || line.empty() || line[0] != '*') return false;
  words.assign(std::stoul(line.substr(1)), {});
  for (std::string& word : words) {
    if (!read_line(line) || line.empty() || line[0] != '$') return false;
    word.resize(std::stoul(line.substr(1)));
    if (std::fread(word.data(), 1, word.size(), stdin) != word.size() || !read_line(line)) return false;
  }
  return true;
}

void put(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); }
void put_bulk(Bytes text) { put("$" + std::to_string(text.size()) + "\r\n" + std::string(text) + "\r\n"); }

void print(ReplyReader& reader, bool resp3) {
  using Tag = Reply::Tag;
  const Tag tag = reader.tag();
  const auto many = [&](const char* kind, uint32_t count, uint32_t values) {
    put(kind + std::to_string(count) + "\r\n");
    for (uint32_t i = 0; i < values; ++i) print(reader, resp3);
  };
  switch (tag) {
    case Tag::kNull:
      return put(resp3 ? "_\r\n" : "$-1\r\n");
    case Tag::kNullArray:
      return put(resp3 ? "_\r\n" : "*-1\r\n");
    case Tag::kInteger:
      return put(":" + std::to_string(reader.integer()) + "\r\n");
    case Tag::kDouble: {
      const NumberText text = format_float(reader.number());
      return resp3 ? put("," + std::string(Bytes(text)) + "\r\n") : put_bulk(text);
    }
    case Tag::kTrue:
      return put(resp3 ? "#t\r\n" : ":1\r\n");
    case Tag::kFalse:
      return put(resp3 ? "#f\r\n" : ":0\r\n");
    case Tag::kBulk:
      return put_bulk(reader.text());
    case Tag::kSimple:
      return put("+" + std::string(reader.text()) + "\r\n");
    case Tag::kError:
      return put("-" + std::string(reader.text()) + "\r\n");
    case Tag::kArray: {
      const uint32_t count = reader.count();
      return many("*", count, count);
    }
    case Tag::kSet: {
      const uint32_t count = reader.count();
      return many(resp3 ? "~" : "*", count, count);
    }
    case Tag::kMap: {
      const uint32_t count = reader.count();
      return many(resp3 ? "%" : "*", resp3 ? count : 2 * count, 2 * count);
    }
  }
}

// Every value of every shard by its type's own check, and no block twice.
std::string check(const Segment& segment) {
  std::set<uint64_t> blocks;
  const VisitBlock visit = [](void* seen, uint64_t block) noexcept {
    return static_cast<std::set<uint64_t>*>(seen)->insert(block).second;
  };
  std::string damage;
  for (uint32_t shard = 0; shard < segment.shard_count(); ++shard) {
    if (!waiters::check(segment, shard, visit, &blocks)) damage += " waiters";
    Dict::for_each(segment, segment.shard(shard).keys, [&](uint64_t item) {
      const auto& entry = *segment.pointer<shm::Entry>(item);
      if (!visit(&blocks, item)) damage += " entry";
      if (!type_row(entry.type())->check(segment, entry, visit, &blocks)) damage += " " + std::string(entry.key());
    });
  }
  return damage.empty() ? "+OK\r\n" : "-ERR damaged:" + damage + "\r\n";
}

// Whether two of the replay's keys share a word of Shard::created: the birth of one would abort a WATCH of the other in
// vain, as it may, and as Redis does not.
bool keys_collide(const Segment& segment) {
  std::set<std::pair<uint32_t, uint64_t>> places;
  for (uint32_t database : {0, 1, 2, 15}) {
    for (int i = 0; i < 12; ++i) {
      const Key key = keyspace::make_key(segment, database, "k" + std::to_string(i));
      if (!places.insert({key.shard, (key.hash >> 8) % shm::kCreatedCount}).second) return true;
    }
  }
  return false;
}

int run(const char* name) {
  SegmentOptions options;
  options.max_size = 1 * kGiB;
  options.shard_count = 4;
  options.context_count = 16;
  options.slot_count = 4;
  const auto parsed = SegmentName::parse(name);
  if (!parsed.ok()) return 2;
  auto opened = Segment::open(parsed.value(), OpenMode::kAttachOrCreate, options);
  while (opened.ok() && keys_collide(*opened.value())) {
    opened.value().reset();
    (void)Segment::remove(parsed.value());
    opened = Segment::open(parsed.value(), OpenMode::kAttachOrCreate, options);
  }
  if (!opened.ok()) return std::fprintf(stderr, "%s\n", describe(opened.status()).c_str()), 2;
  std::shared_ptr<Segment> segment = std::move(opened).value();
  auto attached = Process::attach(segment, shm::SlotRole::kClient);
  if (!attached.ok()) return std::fprintf(stderr, "%s\n", describe(attached.status()).c_str()), 2;
  std::shared_ptr<Process> process = std::move(attached).value();
  {
    Session session(process, 0, 2);
    std::vector<std::string> words;
    int64_t shifted_ms = 0;
    while (read_command(words)) {
      if (words.size() == 1 && words[0] == "SHOAL.CHECK") {
        put(check(*segment));
      } else if (words.size() == 2 && words[0] == "SHOAL.SHIFT") {
        set_wall_clock_offset_ms(shifted_ms += std::stoll(words[1]));
        put("+OK\r\n");
      } else {
        const std::vector<Bytes> arguments(words.begin(), words.end());
        Outcome outcome = session.execute(arguments);
        if (outcome == Outcome::kPending) outcome = blocking::wait(session);
        if (outcome == Outcome::kReplied) {
          ReplyReader reader(session.reply());
          print(reader, session.protocol() == 3);
        } else {
          put("-FAILED " + describe(session.status()) + "\r\n");
        }
      }
      std::fflush(stdout);
    }
  }
  process.reset();
  (void)Segment::remove(parsed.value());
  (void)::rmdir(parsed.value().runtime_dir().c_str());
  return 0;
}

}  // namespace
}  // namespace shoal

int main(int argc, char** argv) { return argc == 2 ? shoal::run(argv[1]) : 2; }
