// SPDX-License-Identifier: MIT
#include "segment/url.h"

#include <charconv>
#include <string_view>

#include "base/limits.h"

namespace shoal {

namespace {

using Options = std::vector<std::pair<std::string, std::string>>;

// The part before `mark` leaves `rest`; without a mark it is all of it.
std::string_view take_until(std::string_view& rest, char mark) {
  const size_t end = rest.find(mark);
  const std::string_view part = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
  return part;
}

Result<Options> parse_options(std::string_view rest) {
  Options options;
  while (!rest.empty()) {
    std::string_view value = take_until(rest, '&');
    if (value.find('=') == std::string_view::npos) return Status{Code::kInvalidArgument, "bad URL: option without ="};
    const std::string_view key = take_until(value, '=');
    options.emplace_back(key, value);
  }
  return options;
}

Result<uint32_t> parse_database(std::string_view text) {
  uint32_t database = 0;
  if (text.empty()) return database;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), database);
  if (error != std::errc{} || end != text.data() + text.size() || database >= kDatabaseCount) {
    return Status{Code::kInvalidArgument, "bad URL: the database must be a number below", kDatabaseCount};
  }
  return database;
}

}  // namespace

Result<SegmentUrl> SegmentUrl::parse(const std::string& text) {
  constexpr std::string_view kScheme = "shoal://";
  std::string_view rest = text;
  if (!rest.starts_with(kScheme)) {
    auto name = SegmentName::parse(text);
    if (!name.ok()) return name.status();
    return SegmentUrl{std::move(name).value(), 0, {}};
  }
  rest.remove_prefix(kScheme.size());
  if (rest.starts_with('/')) rest.remove_prefix(1);
  std::string_view place = take_until(rest, '?');
  auto options = parse_options(rest);
  if (!options.ok()) return options.status();
  auto name = SegmentName::parse(std::string(take_until(place, '/')));
  if (!name.ok()) return name.status();
  const auto database = parse_database(place);
  if (!database.ok()) return database.status();
  return SegmentUrl{std::move(name).value(), database.value(), std::move(options).value()};
}

}  // namespace shoal
