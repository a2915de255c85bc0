// SPDX-License-Identifier: MIT
#pragma once

namespace shoal {

class Call;

void cmd_sadd(Call& call);
void cmd_scard(Call& call);
void cmd_sdiff(Call& call);
void cmd_sdiffstore(Call& call);
void cmd_sinter(Call& call);
void cmd_sintercard(Call& call);
void cmd_sinterstore(Call& call);
void cmd_sismember(Call& call);
void cmd_smembers(Call& call);
void cmd_smismember(Call& call);
void cmd_smove(Call& call);
void cmd_spop(Call& call);
void cmd_srandmember(Call& call);
void cmd_srem(Call& call);
void cmd_sscan(Call& call);
void cmd_sunion(Call& call);
void cmd_sunionstore(Call& call);

}  // namespace shoal
