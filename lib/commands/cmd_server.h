// SPDX-License-Identifier: MIT
#pragma once

namespace shoal {

class Call;

void cmd_auth(Call& call);
void cmd_command_count(Call& call);
void cmd_command_list(Call& call);
void cmd_discard(Call& call);
void cmd_echo(Call& call);
void cmd_exec(Call& call);
void cmd_hello(Call& call);
void cmd_info(Call& call);
void cmd_multi(Call& call);
void cmd_ping(Call& call);
void cmd_reset(Call& call);
void cmd_select(Call& call);
void cmd_time(Call& call);
void cmd_unwatch(Call& call);
void cmd_wait(Call& call);
void cmd_watch(Call& call);

}  // namespace shoal
