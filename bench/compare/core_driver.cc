// SPDX-License-Identifier: MIT
// core_driver.cc: one side of a comparison. Loads a million keys, then answers a line "OPERATION COUNT" on stdin with
// the nanoseconds an operation took, until stdin ends. bench/compare/core.py starts two of them and lets them take
// turns.
//
//   shoal_bench_driver shoal URL KEYS [FIRST_KEY]     get set, one by one
//   shoal_bench_driver redis SOCKET KEYS              get set one by one; get64 set64 pipelined by 64
//   shoal_bench_driver private URL KEYS               get: the same table, copied to private memory, read without locks
#include <hiredis/hiredis.h>
#include <shoal/shoal.h>
#include <sys/mman.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <iostream>
#include <memory>
#include <vector>

#include "keyspace/keyspace.h"
#include "segment/segment.h"

namespace {

constexpr size_t kKeyBytes = 16, kValueBytes = 32;

class Keys {
 public:
  Keys(size_t count, size_t first) : count_(count), bytes_(count * kKeyBytes) {
    char text[32];
    for (size_t i = 0; i < count; ++i) {
      std::snprintf(text, sizeof text, "key:%012zu", first + i);
      std::memcpy(&bytes_[i * kKeyBytes], text, kKeyBytes);
    }
  }
  size_t count() const { return count_; }
  std::string_view operator[](size_t index) const { return {&bytes_[index * kKeyBytes], kKeyBytes}; }
  // Draws so many keys and writes them one behind the other, before the clock starts: in a program a key's bytes have
  // just been made, and fetching them from a table of all keys would cost as much as the operation.
  void draw(size_t count) {
    drawn_.resize(count * kKeyBytes);
    for (size_t i = 0; i < count; ++i) std::memcpy(&drawn_[i * kKeyBytes], &bytes_[random() * kKeyBytes], kKeyBytes);
    next_ = 0;
  }
  std::string_view next() { return {&drawn_[next_++ * kKeyBytes], kKeyBytes}; }

 private:
  size_t random() {  // xorshift64: Marsaglia 2003
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_ % count_;
  }

  size_t count_, next_ = 0;
  std::vector<char> bytes_, drawn_;
  uint64_t state_ = 88172645463325252u;
};

[[noreturn]] void stop(const std::string& why) {
  std::cerr << "shoal_bench_driver: " << why << '\n';
  std::exit(1);
}

std::string_view value_text() { return {"0123456789abcdef0123456789abcdef", kValueBytes}; }

using Operation = std::function<void(size_t count)>;

// ---- Shoal ----

class ShoalSide {
 public:
  ShoalSide(const std::string& url, Keys& keys) : keys_(keys), client_(connect(url)) {
    for (size_t i = 0; i < keys.count(); ++i) check(client_.set(keys[i], value_text()));
  }
  Operation operation(const std::string& name) {
    if (name == "get") return [this](size_t count) { get(count); };
    if (name == "set") return [this](size_t count) { set(count); };
    return nullptr;
  }

 private:
  static shoal::Client connect(const std::string& url) {
    auto client = shoal::Client::connect(url);
    if (!client.ok()) stop(shoal::describe(client.status()));
    return std::move(client).value();
  }
  static void check(const shoal::Status& status) {
    if (!status.ok()) stop(shoal::describe(status));
  }
  void get(size_t count) {
    std::string value;
    for (size_t i = 0; i < count; ++i) {
      auto found = client_.get(keys_.next(), value);
      if (!found.ok() || !found.value()) stop("a key is missing");
    }
  }
  void set(size_t count) {
    for (size_t i = 0; i < count; ++i) check(client_.set(keys_.next(), value_text()));
  }
  Keys& keys_;
  shoal::Client client_;
};

// ---- The same table in private memory ----

class PrivateSide {
 public:
  PrivateSide(const std::string& name, Keys& keys) : keys_(keys) {
    auto opened = shoal::Segment::open(shoal::SegmentName::parse(name).value(), shoal::OpenMode::kAttach);
    if (!opened.ok()) stop(shoal::describe(opened.status()));
    const uint64_t bytes = opened.value()->committed();
    auto* copy =
        static_cast<std::byte*>(::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    ::madvise(copy, bytes, MADV_HUGEPAGE);  // as the segment has them
    std::memcpy(copy, opened.value()->base(), opened.value()->header().fixed_end);
    const uint64_t extents = opened.value()->extents_offset();
    std::memcpy(copy + extents, opened.value()->base() + extents, bytes - extents);
    segment_ = shoal::Segment::view_memory(copy);
  }
  Operation operation(const std::string& name) {
    if (name != "get") return nullptr;
    return [this](size_t count) {
      std::string value;
      for (size_t i = 0; i < count; ++i) {
        const auto* entry = shoal::keyspace::find(*segment_, shoal::keyspace::make_key(*segment_, 0, keys_.next()));
        if (entry == nullptr) stop("a key is missing");
        value.assign(reinterpret_cast<const char*>(entry->value()), entry->info().value_bytes);
      }
    };
  }

 private:
  Keys& keys_;
  std::unique_ptr<shoal::Segment> segment_;
};

// ---- Redis ----

class RedisSide {
 public:
  RedisSide(const std::string& socket, Keys& keys) : keys_(keys), redis_(redisConnectUnix(socket.c_str())) {
    if (redis_ == nullptr || redis_->err != 0) stop("no connection to " + socket);
    for (size_t i = 0; i < keys.count(); i += 64) {
      const size_t batch = std::min<size_t>(64, keys.count() - i);
      for (size_t k = 0; k < batch; ++k) append_set(keys[i + k]);
      drain(batch);
    }
  }
  Operation operation(const std::string& name) {
    if (name == "get" || name == "get64")
      return [this, batch = name == "get" ? 1 : 64](size_t n) { run(n, batch, &RedisSide::append_get); };
    if (name == "set" || name == "set64")
      return [this, batch = name == "set" ? 1 : 64](size_t n) { run(n, batch, &RedisSide::append_set); };
    return nullptr;
  }

 private:
  void append(std::initializer_list<std::string_view> words) {
    const char* texts[4];
    size_t lengths[4], count = 0;
    for (std::string_view word : words) {
      texts[count] = word.data();
      lengths[count++] = word.size();
    }
    redisAppendCommandArgv(redis_, static_cast<int>(count), texts, lengths);
  }
  void append_get(std::string_view key) { append({"GET", key}); }
  void append_set(std::string_view key) { append({"SET", key, value_text()}); }
  void drain(size_t replies) {
    for (; replies > 0; --replies) {
      void* reply = nullptr;
      if (redisGetReply(redis_, &reply) != REDIS_OK || static_cast<redisReply*>(reply)->type == REDIS_REPLY_ERROR)
        stop("redis failed");
      freeReplyObject(reply);
    }
  }
  void run(size_t count, size_t batch, void (RedisSide::*append_one)(std::string_view)) {
    for (; count > 0; count -= std::min(batch, count)) {
      const size_t now = std::min(batch, count);
      for (size_t i = 0; i < now; ++i) (this->*append_one)(keys_.next());
      drain(now);
    }
  }
  Keys& keys_;
  redisContext* redis_;
};

template <typename Side>
int serve(Side&& side, Keys& keys) {
  std::cout << "ready" << std::endl;
  std::string name;
  size_t count;
  while (std::cin >> name >> count) {
    const Operation operation = side.operation(name);
    if (!operation) stop("this side has no operation " + name);
    keys.draw(count);
    const auto begin = std::chrono::steady_clock::now();
    operation(count);
    const std::chrono::duration<double, std::nano> elapsed = std::chrono::steady_clock::now() - begin;
    std::cout << elapsed.count() / static_cast<double>(count) << std::endl;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) stop("usage: shoal_bench_driver shoal|private|redis ADDRESS KEYS [FIRST_KEY]");
  const std::string side = argv[1], address = argv[2];
  Keys keys(std::stoul(argv[3]), argc > 4 ? std::stoul(argv[4]) : 0);
  if (side == "shoal") return serve(ShoalSide(address, keys), keys);
  if (side == "private") return serve(PrivateSide(address, keys), keys);
  if (side == "redis") return serve(RedisSide(address, keys), keys);
  stop("no side " + side);
}
