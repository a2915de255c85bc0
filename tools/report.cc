// SPDX-License-Identifier: MIT
#include "tools/report.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <vector>

namespace shoal::tool {

namespace {

using Row = std::vector<std::string>;

std::string scaled_bytes(double bytes) {
  constexpr std::array kUnits{"B", "KiB", "MiB", "GiB", "TiB"};
  size_t unit = 0;
  while (bytes >= 1024 && unit + 1 < kUnits.size()) {
    bytes /= 1024;
    ++unit;
  }
  char text[40];
  const bool whole = bytes == static_cast<double>(static_cast<int64_t>(bytes));
  std::snprintf(text, sizeof text, whole ? "%.0f %s" : "%.1f %s", bytes, kUnits[unit]);
  return text;
}

std::string scaled_duration(double ms) {
  struct Unit {
    double ms;
    const char* name;
  };
  constexpr std::array kUnits{Unit{86'400'000, "d"}, Unit{3'600'000, "h"}, Unit{60'000, "min"}, Unit{1000, "s"}};
  char text[40];
  for (const Unit& unit : kUnits) {
    if (ms >= unit.ms) {
      std::snprintf(text, sizeof text, "%.1f %s", ms / unit.ms, unit.name);
      return text;
    }
  }
  std::snprintf(text, sizeof text, "%.0f ms", ms);
  return text;
}

std::string date(int64_t ms) {
  const std::time_t seconds = ms / 1000;
  std::tm parts{};
  char text[40] = "-";
  if (ms > 0 && ::localtime_r(&seconds, &parts) != nullptr) {
    std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts);
  }
  return text;
}

// Names of keys and channels may be any bytes: what a terminal would obey is written as \xNN.
std::string printable(const std::string& text) {
  std::string safe;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f) {
      safe += c;
      continue;
    }
    char escaped[5];
    std::snprintf(escaped, sizeof escaped, "\\x%02x", byte);
    safe += escaped;
  }
  return safe;
}

bool plain(const Json& value) { return !value.is_object() && !value.is_array(); }
bool is_table(const Json& value) { return value.is_array() && !value.empty() && value.front().is_object(); }

// Keys are written with underscores and without the unit that the value shows: "used_bytes" is headed "used".
std::string heading(std::string key) {
  for (const std::string unit : {"_bytes", "_time_ms", "_ms"}) {
    if (key.size() > unit.size() && key.ends_with(unit)) {
      key.resize(key.size() - unit.size());
      break;
    }
  }
  std::replace(key.begin(), key.end(), '_', ' ');
  return key;
}

// UTF-8 letters, not bytes; names of channels may be anything.
size_t width(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

std::string aligned(const std::vector<Row>& rows, const std::vector<bool>& right, const std::string& indent) {
  std::vector<size_t> widths(right.size(), 0);
  for (const Row& row : rows) {
    for (size_t column = 0; column < row.size(); ++column)
      widths[column] = std::max(widths[column], width(row[column]));
  }
  std::string text;
  for (const Row& row : rows) {
    std::string line = indent;
    for (size_t column = 0; column < row.size(); ++column) {
      const std::string gap(widths[column] - width(row[column]), ' ');
      line += (column == 0 ? "" : "  ") + (right[column] ? gap + row[column] : row[column] + gap);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

std::string table_text(const Json& array, const std::string& indent) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : array.front().items()) keys.push_back(key);
  std::vector<bool> right(keys.size(), true);
  std::vector<Row> rows(1);
  for (const std::string& key : keys) rows[0].push_back(heading(key));
  for (const Json& object : array) {
    Row& row = rows.emplace_back();
    for (size_t column = 0; column < keys.size(); ++column) {
      const Json value = object.value(keys[column], Json());
      row.push_back(cell_text(keys[column], value));
      if (!value.is_number() && !value.is_null()) right[column] = false;
    }
  }
  return aligned(rows, right, indent);
}

std::string object_text(const Json& object, const std::string& indent) {
  std::vector<Row> rows;
  for (const auto& [key, value] : object.items()) {
    if (plain(value)) rows.push_back({heading(key), cell_text(key, value)});
  }
  std::string text = aligned(rows, {false, false}, indent);
  for (const auto& [key, value] : object.items()) {
    if (plain(value)) continue;
    if (!text.empty() && indent.empty()) text += "\n";
    text += indent + heading(key) + (value.empty() ? ": none\n" : "\n");
    if (!value.empty()) text += is_table(value) ? table_text(value, indent + "  ") : object_text(value, indent + "  ");
  }
  return text;
}

}  // namespace

std::string cell_text(const std::string& key, const Json& value) {
  if (value.is_null()) return "-";
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  if (value.is_string()) return printable(value.get<std::string>());
  if (value.is_number()) {
    if (key.ends_with("_bytes")) return scaled_bytes(value.get<double>());
    if (key.ends_with("_time_ms")) return date(value.get<int64_t>());
    if (key.ends_with("_ms")) return scaled_duration(value.get<double>());
  }
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string for_programs(const Json& document) {
  return document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string for_people(const Json& document) {
  if (is_table(document)) return table_text(document, "");
  if (document.is_array() && document.empty()) return "none\n";
  return plain(document) ? cell_text("", document) + "\n" : object_text(document, "");
}

}  // namespace shoal::tool
