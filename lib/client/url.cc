// SPDX-License-Identifier: MIT
#include "client/url.h"

#include <charconv>

namespace shoal {

namespace {

template <typename T>
bool parse_number(std::string_view text, T& value, int base = 10) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

// Bytes, or a number with k, m, g (KiB, MiB, GiB), with or without "iB" or "B".
bool parse_size(std::string_view text, uint64_t& bytes) {
  size_t digits = 0;
  while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') ++digits;
  std::string unit(text.substr(digits));
  for (char& c : unit) c = static_cast<char>(c | 0x20);
  if (unit.ends_with("ib"))
    unit.resize(unit.size() - 2);
  else if (unit.ends_with("b"))
    unit.pop_back();
  const uint64_t factor = unit.empty() ? 1 : unit == "k" ? kKiB : unit == "m" ? kMiB : unit == "g" ? kGiB : 0;
  if (factor == 0 || !parse_number(text.substr(0, digits), bytes)) return false;
  return !__builtin_mul_overflow(bytes, factor, &bytes);
}

bool parse_flag(std::string_view text, bool& flag) {
  flag = text == "true" || text == "1" || text == "yes" || text == "on";
  return flag || text == "false" || text == "0" || text == "no" || text == "off";
}

Status apply_option(Url& url, std::string_view name, std::string_view value) {
  if (name == "max_size") {
    return parse_size(value, url.options.max_size)
               ? Status{}
               : Status{Code::kInvalidArgument, "max_size: write bytes, 512MiB or 2GiB"};
  }
  if (name == "shards" && parse_number(value, url.options.shard_count)) return {};
  if (name == "contexts" && parse_number(value, url.options.context_count)) return {};
  if (name == "slots" && parse_number(value, url.options.slot_count)) return {};
  if (name == "mode" && parse_number(value, url.options.mode, 8)) return {};
  if (name == "create" && parse_flag(value, url.create)) return {};
  if (name == "daemon" && parse_flag(value, url.daemon)) return {};
  return {Code::kInvalidArgument,
          "a URL option is unknown or has a bad value: max_size, shards, contexts, slots, mode, create, daemon"};
}

}  // namespace

Result<Url> Url::parse(std::string_view text) {
  constexpr std::string_view kScheme = "shoal://";
  if (!text.starts_with(kScheme)) return Status{Code::kInvalidArgument, "the URL must begin with shoal://"};
  text.remove_prefix(kScheme.size());
  const size_t query_at = text.find('?');
  std::string_view path = text.substr(0, query_at);
  std::string_view query = query_at == std::string_view::npos ? std::string_view{} : text.substr(query_at + 1);
  if (path.starts_with('/')) path.remove_prefix(1);

  Url url;
  const size_t slash = path.find('/');
  url.name = path.substr(0, slash);
  if (auto name = SegmentName::parse(url.name); !name.ok()) return name.status();
  if (slash != std::string_view::npos && slash + 1 < path.size()) {
    if (!parse_number(path.substr(slash + 1), url.database) || url.database >= kDatabaseCount) {
      return Status{Code::kInvalidArgument, "the database in the URL must be 0 to 15"};
    }
  }
  while (!query.empty()) {
    const std::string_view option = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), option.size() + 1));
    const size_t equals = option.find('=');
    if (equals == std::string_view::npos) return Status{Code::kInvalidArgument, "a URL option must be name=value"};
    if (Status status = apply_option(url, option.substr(0, equals), option.substr(equals + 1)); !status.ok())
      return status;
  }
  return url;
}

}  // namespace shoal
