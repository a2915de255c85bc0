// SPDX-License-Identifier: MIT
// views.h: what the tool can say about segments. Each view reads a SegmentView and fills a document; none changes
// anything.
#pragma once

#include <string>
#include <vector>

#include "tools/report.h"
#include "tools/view.h"

namespace shoal::tool {

// One row a segment of this host.
Json list_segments();

// `shoal inspect NAME [PART]`; an empty part is all of them. A segment with a problem shows what can still be read.
Json inspect_view(const SegmentView& view, const std::string& part);
std::vector<std::string> inspect_parts();

Json segment_view(const SegmentView& view);
Json processes_view(const SegmentView& view);
Json shards_view(const SegmentView& view);
Json memory_view(const SegmentView& view);

// These join the segment and take its locks, one at a time.
Json channels_view(const SegmentView& view);
Json queues_view(const SegmentView& view);
Json leases_view(const SegmentView& view);

// Their rows of one shard, whose lock the caller holds. A damaged segment shows less, or nonsense.
void add_channels(const Segment& segment, uint32_t shard, Json& rows);
void add_queues(const Segment& segment, uint32_t shard, Json& rows);
void add_leases(const Segment& segment, uint32_t shard, Json& rows);

// Where the regions of this segment lie.
Json regions_view(const Segment& segment);

// The map of a segment and of every fixed record, from the constants of segment/layout.h and nothing else.
Json layout_document();
std::string layout_text();

// The command table: one row a command; and as the tables of docs/COMMANDS.md.
Json commands_document();
std::string commands_markdown();

}  // namespace shoal::tool
