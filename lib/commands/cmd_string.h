// SPDX-License-Identifier: MIT
#pragma once

namespace shoal {

class Call;

bool get_optimistic(Call& call);
void cmd_append(Call& call);
void cmd_decr(Call& call);
void cmd_decrby(Call& call);
void cmd_get(Call& call);
void cmd_getdel(Call& call);
void cmd_getex(Call& call);
void cmd_getrange(Call& call);
void cmd_getset(Call& call);
void cmd_incr(Call& call);
void cmd_incrby(Call& call);
void cmd_incrbyfloat(Call& call);
void cmd_mget(Call& call);
void cmd_mset(Call& call);
void cmd_msetnx(Call& call);
void cmd_psetex(Call& call);
void cmd_set(Call& call);
void cmd_setex(Call& call);
void cmd_setnx(Call& call);
void cmd_setrange(Call& call);
void cmd_strlen(Call& call);

}  // namespace shoal
