// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "segment/segment.h"

namespace shoal {

class Call;

uint64_t copy_shards(const Segment& segment, std::span<const Bytes> arguments, uint32_t database) noexcept;
uint64_t move_shards(const Segment& segment, std::span<const Bytes> arguments, uint32_t database) noexcept;
uint64_t scan_shards(const Segment& segment, std::span<const Bytes> arguments, uint32_t database) noexcept;
void cmd_copy(Call& call);
void cmd_dbsize(Call& call);
void cmd_del(Call& call);
void cmd_exists(Call& call);
void cmd_expire(Call& call);
void cmd_expireat(Call& call);
void cmd_expiretime(Call& call);
void cmd_flushall(Call& call);
void cmd_flushdb(Call& call);
void cmd_keys(Call& call);
void cmd_memory_usage(Call& call);
void cmd_move(Call& call);
void cmd_object_encoding(Call& call);
void cmd_object_freq(Call& call);
void cmd_object_idletime(Call& call);
void cmd_object_refcount(Call& call);
void cmd_persist(Call& call);
void cmd_pexpire(Call& call);
void cmd_pexpireat(Call& call);
void cmd_pexpiretime(Call& call);
void cmd_pttl(Call& call);
void cmd_randomkey(Call& call);
void cmd_rename(Call& call);
void cmd_renamenx(Call& call);
void cmd_scan(Call& call);
void cmd_ttl(Call& call);
void cmd_type(Call& call);

}  // namespace shoal
