// SPDX-License-Identifier: MIT
#pragma once

namespace shoal {

class Call;

void cmd_hdel(Call& call);
void cmd_hexists(Call& call);
void cmd_hget(Call& call);
void cmd_hgetall(Call& call);
void cmd_hincrby(Call& call);
void cmd_hincrbyfloat(Call& call);
void cmd_hkeys(Call& call);
void cmd_hlen(Call& call);
void cmd_hmget(Call& call);
void cmd_hmset(Call& call);
void cmd_hrandfield(Call& call);
void cmd_hscan(Call& call);
void cmd_hset(Call& call);
void cmd_hsetnx(Call& call);
void cmd_hstrlen(Call& call);
void cmd_hvals(Call& call);

}  // namespace shoal
