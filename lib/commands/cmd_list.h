// SPDX-License-Identifier: MIT
#pragma once

namespace shoal {

class Call;

void cmd_blmove(Call& call);
void cmd_blmpop(Call& call);
void cmd_blpop(Call& call);
void cmd_brpop(Call& call);
void cmd_brpoplpush(Call& call);
void cmd_lindex(Call& call);
void cmd_linsert(Call& call);
void cmd_llen(Call& call);
void cmd_lmove(Call& call);
void cmd_lmpop(Call& call);
void cmd_lpop(Call& call);
void cmd_lpos(Call& call);
void cmd_lpush(Call& call);
void cmd_lpushx(Call& call);
void cmd_lrange(Call& call);
void cmd_lrem(Call& call);
void cmd_lset(Call& call);
void cmd_ltrim(Call& call);
void cmd_rpop(Call& call);
void cmd_rpoplpush(Call& call);
void cmd_rpush(Call& call);
void cmd_rpushx(Call& call);

}  // namespace shoal
