// SPDX-License-Identifier: MIT
// The parts of `shoal inspect NAME`, in the order in which they are shown.
#include <functional>
#include <utility>

#include "tools/views.h"

namespace shoal::tool {

namespace {

using Part = std::pair<const char*, std::function<Json(const SegmentView&)>>;

const std::vector<Part>& parts() {
  static const std::vector<Part> kParts{
      {"segment", segment_view},     {"layout", [](const SegmentView& view) { return regions_view(view.segment()); }},
      {"processes", processes_view}, {"shards", shards_view},
      {"channels", channels_view},   {"queues", queues_view},
      {"leases", leases_view},       {"memory", memory_view},
  };
  return kParts;
}

}  // namespace

std::vector<std::string> inspect_parts() {
  std::vector<std::string> names;
  for (const auto& [name, view] : parts()) names.push_back(name);
  return names;
}

Json inspect_view(const SegmentView& view, const std::string& part) {
  Json result = Json::object();
  for (const auto& [name, make] : parts()) {
    const bool readable = !view.problem() || name == std::string("segment");
    if (readable && (part.empty() || part == name || view.problem())) result[name] = make(view);
  }
  return result;
}

}  // namespace shoal::tool
