// SPDX-License-Identifier: MIT
// client.h: the typed C++ face. Everything goes through the one path of commands; nothing here knows a data structure.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shoal/status.h"
#include "shoal/subscription.h"

namespace shoal {

// A reply of any command.
struct Value {
  enum class Kind : uint8_t { kNull, kInteger, kDouble, kBoolean, kText, kError, kArray, kMap, kSet };
  Kind kind = Kind::kNull;
  int64_t integer = 0;       // kInteger, kBoolean
  double number = 0;         // kDouble
  std::string text;          // kText: bytes; kError: Redis's text
  std::vector<Value> items;  // kArray, kSet; kMap: key, value, key, value ...
};

class Client {
 public:
  // "shoal://NAME[/DB][?max_size=..&shards=..&contexts=..&slots=..&mode=..&create=..&daemon=..]"; options shape a
  // segment that does not exist yet. If no daemon serves the segment, starts one: `shoald` on PATH, or $SHOAL_DAEMON
  // (daemon=no: does not). Errors: kInvalidArgument (what is wrong with the URL), kNotFound (create=false), and those
  // of attaching.
  static Result<Client> connect(std::string_view url);
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;
  ~Client();

  // Status kRedisError: the command itself failed; error_text() is what Redis would have said.
  Result<std::optional<std::string>> get(std::string_view key);
  // The same into memory that is used again: false if there is no such key.
  Result<bool> get(std::string_view key, std::string& value);
  Status set(std::string_view key, std::string_view value);
  Status set_for(std::string_view key, std::string_view value, int64_t ttl_ms);
  Result<int64_t> del(std::string_view key);
  Result<int64_t> incr_by(std::string_view key, int64_t by = 1);

  // Any command. A Redis error is a Value of kind kError; a Status says that the segment could not be used.
  Result<Value> command(std::initializer_list<std::string_view> words);
  Result<Value> command(std::span<const std::string_view> words);
  // MULTI/EXEC: all of them as one, kArray of replies; kNull if a WATCHed key changed.
  Result<Value> transaction(const std::vector<std::vector<std::string_view>>& commands);

  // Channels. To how many subscribers the message went.
  Result<int64_t> publish(std::string_view channel, std::string_view data);
  Result<Subscription> subscribe(std::string_view channel, const Begin& begin = {});
  // The channel keeps its last messages from now on, subscribers or not (0: no longer); ttl_ms: and no older ones.
  Status keep(std::string_view channel, uint32_t messages, int64_t ttl_ms = 0);

  const std::string& error_text() const noexcept;

 private:
  struct State;
  explicit Client(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace shoal
