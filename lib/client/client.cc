// SPDX-License-Identifier: MIT
#include "shoal/client.h"

#include <map>
#include <mutex>

#include "base/fork_gate.h"
#include "client/subscription.h"
#include "client/url.h"
#include "commands/session.h"
#include "commands/set_at_once.h"
#include "commands/upkeep.h"
#include "keyspace/read_string.h"

namespace shoal {

namespace {

// One membership for each name and process: clients of any thread share it. Not destroyed before threads that end late.
struct Attached {
  ForkLock lock;
  std::map<std::string, std::weak_ptr<Process>> by_name;
};
Attached& attached = *new Attached;

Result<std::shared_ptr<Process>> attach(const Url& url) {
  const std::lock_guard lock(attached.lock);
  if (auto known = attached.by_name.find(url.name); known != attached.by_name.end()) {
    if (auto process = known->second.lock(); process != nullptr && !process->segment().removed()) return process;
  }
  auto name = SegmentName::parse(url.name);
  if (!name.ok()) return name.status();
  auto segment = Segment::open(name.value(), url.create ? OpenMode::kAttachOrCreate : OpenMode::kAttach, url.options);
  if (!segment.ok()) return segment.status();
  auto process = Process::attach(std::move(segment).value(), shm::SlotRole::kClient);
  if (!process.ok()) return process.status();
  std::shared_ptr<Process> shared = std::move(process).value();
  // Without a daemon, and without a shoald to start, processes that wait do its work.
  static_cast<void>(Upkeep::of(*shared)->find_daemon(url.daemon ? find_daemon_program("") : ""));
  const NoFork whole;
  attached.by_name[url.name] = shared;
  return shared;
}

Value to_value(ReplyReader& reader) {
  using Tag = Reply::Tag;
  using Kind = Value::Kind;
  Value value;
  auto read_items = [&](Kind kind, uint32_t count) {
    value.kind = kind;
    value.items.reserve(count);
    for (uint32_t i = 0; i < count; ++i) value.items.push_back(to_value(reader));
  };
  switch (reader.tag()) {
    case Tag::kNull:
    case Tag::kNullArray:
      break;
    case Tag::kInteger:
      value.kind = Kind::kInteger;
      value.integer = reader.integer();
      break;
    case Tag::kDouble:
      value.kind = Kind::kDouble;
      value.number = reader.number();
      break;
    case Tag::kTrue:
      value.integer = 1;
      [[fallthrough]];
    case Tag::kFalse:
      value.kind = Kind::kBoolean;
      break;
    case Tag::kBulk:
    case Tag::kSimple:
      value.kind = Kind::kText;
      value.text = reader.text();
      break;
    case Tag::kError:
      value.kind = Kind::kError;
      value.text = reader.text();
      break;
    case Tag::kArray:
      read_items(Kind::kArray, reader.count());
      break;
    case Tag::kSet:
      read_items(Kind::kSet, reader.count());
      break;
    case Tag::kMap:
      read_items(Kind::kMap, 2 * reader.count());
      break;
  }
  return value;
}

}  // namespace

struct Client::State {
  explicit State(std::shared_ptr<Process> joined, uint32_t database) : process(joined), session(joined, database) {}

  std::shared_ptr<Process> process;
  Session session;
  std::string error_text;

  // Runs words and hands the reply's reader to `read`; a Redis error becomes a Status with its text kept.
  template <typename Read>
  Status run(std::initializer_list<Bytes> words, Read&& read) {
    return answer(session.execute({words.begin(), words.size()}), std::forward<Read>(read));
  }
  template <typename Read>
  Status answer(Outcome outcome, Read&& read) {
    if (outcome != Outcome::kReplied) return session.status();
    if (session.reply().used() == 0) return {};
    ReplyReader reader(session.reply());
    const Reply::Tag tag = reader.tag();
    if (tag == Reply::Tag::kError) {
      error_text = reader.text();
      return {Code::kRedisError, error_text.c_str()};
    }
    read(tag, reader);
    return {};
  }
};

Client::Client(std::unique_ptr<State> state) : state_(std::move(state)) {}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
Client::~Client() = default;

Result<Client> Client::connect(std::string_view url) {
  auto parsed = Url::parse(url);
  if (!parsed.ok()) return parsed.status();
  auto process = attach(parsed.value());
  if (!process.ok()) return process.status();
  return Client(std::make_unique<State>(std::move(process).value(), parsed.value().database));
}

const std::string& Client::error_text() const noexcept { return state_->error_text; }

Result<bool> Client::get(std::string_view key, std::string& value) {
#ifndef SHOAL_LOCKED_READS
  using keyspace::ReadString;
  if (key.size() <= kShortKeyBytesMax) {
    Session& session = state_->session;
    const Segment& segment = session.process().segment();
    const auto read = keyspace::read_string(segment, session.database(), key, [&value](uint32_t bytes) {
      if (value.size() != bytes) value.resize(bytes);
      return value.data();
    });
    if (read != ReadString::kUseLock) return read == ReadString::kValue;
  }
#endif
  bool found = false;
  Status status = state_->run({"GET", key}, [&](Reply::Tag tag, ReplyReader& reader) {
    found = tag == Reply::Tag::kBulk;
    if (found) value = reader.text();
  });
  if (!status.ok()) return status;
  return found;
}

Result<std::optional<std::string>> Client::get(std::string_view key) {
  std::string value;
  auto found = get(key, value);
  if (!found.ok()) return found.status();
  return found.value() ? std::optional<std::string>(std::move(value)) : std::nullopt;
}

Status Client::set(std::string_view key, std::string_view value) {
  if (__builtin_expect(set_at_once(state_->session, key, value), 1)) return {};
  return state_->run({"SET", key, value}, [](Reply::Tag, ReplyReader&) {});
}

Status Client::set_for(std::string_view key, std::string_view value, int64_t ttl_ms) {
  const std::string ttl = std::to_string(ttl_ms);
  return state_->run({"SET", key, value, "PX", ttl}, [](Reply::Tag, ReplyReader&) {});
}

Result<int64_t> Client::del(std::string_view key) {
  int64_t removed = 0;
  Status status = state_->run({"DEL", key}, [&](Reply::Tag, ReplyReader& reader) { removed = reader.integer(); });
  if (!status.ok()) return status;
  return removed;
}

Result<int64_t> Client::incr_by(std::string_view key, int64_t by) {
  int64_t result = 0;
  const NumberText text = format_integer(by);
  Status status =
      state_->run({"INCRBY", key, text}, [&](Reply::Tag, ReplyReader& reader) { result = reader.integer(); });
  if (!status.ok()) return status;
  return result;
}

Result<int64_t> Client::publish(std::string_view channel, std::string_view data) {
  int64_t receivers = 0;
  auto read = [&](Reply::Tag, ReplyReader& reader) { receivers = reader.integer(); };
  if (Status status = state_->run({"PUBLISH", channel, data}, read); !status.ok()) return status;
  return receivers;
}

Result<Subscription> Client::subscribe(std::string_view channel, const Begin& begin) {
  auto state = std::make_unique<Subscription::State>(state_->process);
  if (Status status = shoal::subscribe(state->subscriber, channel, begin); !status.ok()) return status;
  return Subscription(std::move(state));
}

Status Client::keep(std::string_view channel, uint32_t messages, int64_t ttl_ms) {
  const channels::History history{messages, static_cast<uint64_t>(ttl_ms)};
  return channels::configure(*state_->process, channel, history, kLockBudgetNs);
}

Result<Value> Client::command(std::initializer_list<std::string_view> words) {
  return command({words.begin(), words.size()});
}

Result<Value> Client::command(std::span<const std::string_view> words) {
  if (state_->session.execute(words) != Outcome::kReplied) return state_->session.status();
  ReplyReader reader(state_->session.reply());
  return to_value(reader);
}

Result<Value> Client::transaction(const std::vector<std::vector<std::string_view>>& commands) {
  if (state_->session.execute_atomically(commands) != Outcome::kReplied) return state_->session.status();
  ReplyReader reader(state_->session.reply());
  return to_value(reader);
}

}  // namespace shoal
