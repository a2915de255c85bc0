// SPDX-License-Identifier: MIT
// report.h: one document, two faces. A view fills a JSON document; a program gets it as it is, a person gets tables
// made from it by the shapes alone: an array of objects is a table, an object of plain values a list, anything nested a
// section.
// The end of a key says its unit: `_bytes` and `_ms` are scaled for people, `_time_ms` is a wall-clock date.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace shoal::tool {

using Json = nlohmann::ordered_json;

std::string for_programs(const Json& document);
std::string for_people(const Json& document);

// One value as a person reads it: 4096 under "used_bytes" is "4 KiB".
std::string cell_text(const std::string& key, const Json& value);

}  // namespace shoal::tool
