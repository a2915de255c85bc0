// SPDX-License-Identifier: MIT
#pragma once

namespace shoal {

class Call;

void cmd_bitcount(Call& call);
void cmd_bitfield(Call& call);
void cmd_bitop(Call& call);
void cmd_bitpos(Call& call);
void cmd_getbit(Call& call);
void cmd_setbit(Call& call);

}  // namespace shoal
