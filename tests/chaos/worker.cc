// SPDX-License-Identifier: MIT
// shoal_chaos_worker URL NUMBER LIFE FOLDER SEED LIFE_FD: what worker.py does, by the public C++ client and without
// company: the same operations on the same keys, told in the same words (journal.py), until it is killed or `stop` is
// set.
#include <fcntl.h>
#include <shoal/shoal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <fstream>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace {

using shoal::Client;
using shoal::Code;
using shoal::Message;
using shoal::Position;
using shoal::Result;
using shoal::Status;
using shoal::Value;
using Commands = std::vector<std::vector<std::string_view>>;

// As in worker.py.
constexpr const char* kChannel = "chaos:room";
constexpr size_t kLongest = 2000;
constexpr size_t kOwnKeys = 5;
constexpr size_t kBundle = 200;
// Behind each operation, or it would do ten times what the others do, and write as much longer a journal.
constexpr std::chrono::microseconds kPause{50};

void expect(bool holds, const std::string& what) {
  if (!holds) throw std::runtime_error(what);
}

template <typename T>
T must(Result<T> result) {
  expect(result.ok(), shoal::describe(result.status()));
  return std::move(result).value();
}

int64_t now_us() {  // as time.monotonic_ns(): the stops that it is held against are counted so
  using namespace std::chrono;
  return duration_cast<microseconds>(steady_clock::now().time_since_epoch()).count();
}

class Journal {
 public:
  explicit Journal(const std::string& path)
      : fd_(::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600)) {
    expect(fd_ >= 0, "cannot open " + path);
  }

  // By one write: a line that a death cut off has no end, and does not count.
  template <typename... Words>
  void say(const Words&... words) {
    std::ostringstream line;
    const char* space = "";
    ((line << space << words, space = " "), ...);
    line << "\n";
    const std::string text = line.str();
    expect(::write(fd_, text.data(), text.size()) == static_cast<ssize_t>(text.size()), "cannot write the journal");
  }

 private:
  int fd_;
};

class Work {
 public:
  Work(Client& r, const std::string& number, const std::string& life, const std::string& folder, unsigned seed)
      : r_(r),
        name_(number + "." + life),
        keys_("chaos:own:" + number),
        journal_(folder + "/journal-" + name_),
        random_(seed) {
    for (size_t i = 0; i < kBundle; ++i) counters_.push_back("chaos:bundle:" + std::to_string(i));
    for (const std::string& counter : counters_) bundle_.push_back({"INCR", counter});
  }

  void run(const std::string& begin) {
    heard_ = position(begin.empty() ? must(r_.get("chaos:begin")).value() : begin);
    auto subscription = must(r_.subscribe(kChannel, {.since = heard_}));
    while (!must(r_.get("chaos:stop"))) {
      step();
      while (auto item = must(subscription.next(0))) hear(*item);
      std::this_thread::sleep_for(kPause);
    }
    journal_.say("end");
  }

 private:
  size_t below(size_t end) { return std::uniform_int_distribution<size_t>(0, end - 1)(random_); }

  static Position position(const std::string& text) {
    return {std::stoull(text), std::stoull(text.substr(text.find('-') + 1))};
  }

  void step() {
    switch (below(7)) {
      case 0:
        return attempt("count", [&](auto&) { return r_.incr_by("chaos:count").status(); });
      case 1:
        return attempt("pair", [&](auto&) {
          return together({{"INCR", "chaos:left"}, {"HINCRBY", "chaos:right", "count", "1"}});
        });
      case 2:
        return attempt("bundle", [&](auto&) { return together(bundle_); });
      case 3:
        return attempt("move", [&](auto&) { return move(tokens(), tokens()); });
      case 4:
        return publish(40 + below(kLongest - 40));
      default: {
        const std::string key = keys_ + ":" + std::to_string(below(kOwnKeys));
        return attempt(key, [&](auto& value) { return r_.set(key, value); });
      }
    }
  }

  // What begins is told before, how it ended behind it.
  template <typename Call>
  void attempt(const std::string& what, Call&& call) {
    const std::string value = name_ + ":" + std::to_string(++next_);
    journal_.say("try", what, value);
    const int64_t began_us = now_us();
    const Status status = call(value);
    const int64_t took_us = now_us() - began_us;
    if (status.code() == Code::kHolderStopped) return journal_.say("no", what, value);
    expect(status.ok(), what + ": " + shoal::describe(status));
    journal_.say("ok", what, value, began_us, took_us);
  }

  // What only ever grows together is equal in every reply, too.
  Status together(const Commands& commands) {
    const Result<Value> answer = r_.transaction(commands);
    if (!answer.ok()) return answer.status();
    const std::vector<Value>& items = answer.value().items;
    expect(items.size() == commands.size(), "a transaction's replies are missing");
    const auto is_like_first = [&](const Value& item) {
      return item.kind == Value::Kind::kInteger && item.integer == items[0].integer;
    };
    expect(std::all_of(items.begin(), items.end(), is_like_first), "a transaction's replies differ");
    return {};
  }

  std::string tokens() { return "chaos:tokens:" + std::to_string(below(3)); }

  Status move(const std::string& from, const std::string& to) {
    const Result<Value> answer = r_.command({"LMOVE", from, to, "LEFT", "RIGHT"});
    expect(!answer.ok() || answer.value().kind != Value::Kind::kError, "LMOVE failed");
    return answer.status();
  }

  void publish(size_t size) {
    attempt("publish", [&](auto& value) {
      std::string data = std::to_string(size) + " " + value + " ";
      data.resize(size, '.');
      return r_.publish(kChannel, data).status();
    });
  }

  // Takes a message or a gap; the position goes into the journal with what was missed on the way.
  void hear(const Message& item) {
    if (item.gap) {
      expect(item.missed.has_value(), "a gap of nobody knows how many");
      missed_ += *item.missed;
      return;
    }
    const uint64_t sequence = item.position.sequence;
    expect(item.data.starts_with(std::to_string(item.data.size()) + " "), "not what was published: " + item.data);
    expect(sequence == heard_.sequence + 1 + missed_, "heard " + std::to_string(sequence) + " behind " +
                                                          std::to_string(heard_.sequence) + " and a gap of " +
                                                          std::to_string(missed_));
    journal_.say("heard", std::to_string(item.position.incarnation) + "-" + std::to_string(sequence), missed_);
    heard_ = item.position;
    missed_ = 0;
  }

  Client& r_;
  const std::string name_, keys_;
  Journal journal_;
  std::mt19937 random_;
  uint64_t next_ = 0;
  Position heard_;
  uint64_t missed_ = 0;
  std::vector<std::string> counters_;
  Commands bundle_;
};

// Where one life stopped hearing. At the end of the file: a line that was cut off, or none.
std::string heard_in(const std::string& journal) {
  std::ifstream file(journal);
  std::string line, heard;
  while (std::getline(file, line) && !file.eof()) {
    std::istringstream words(line);
    std::string verb, place;
    if (words >> verb >> place && verb == "heard") heard = place;
  }
  return heard;
}

// Where the last life that heard anything stopped.
std::string heard_before(const std::string& folder, const std::string& number, int life) {
  std::string heard;
  while (heard.empty() && life-- > 0) heard = heard_in(folder + "/journal-" + number + "." + std::to_string(life));
  return heard;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 7) return 2;
  try {
    const std::string url = argv[1], number = argv[2], life = argv[3], folder = argv[4];
    ::fcntl(std::stoi(argv[6]), F_SETFD, FD_CLOEXEC);  // the daemon does not have it
    Client client = must(Client::connect(url));
    Work work(client, number, life, folder, static_cast<unsigned>(std::stoul(argv[5])));
    work.run(heard_before(folder, number, std::stoi(life)));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "shoal_chaos_worker: %s\n", error.what());
    return 1;
  }
  return 0;
}
