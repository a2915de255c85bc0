// SPDX-License-Identifier: MIT
#pragma once

namespace shoal {

class Call;

void cmd_client_getname(Call& call);
void cmd_client_id(Call& call);
void cmd_client_info(Call& call);
void cmd_client_list(Call& call);
void cmd_client_no_evict(Call& call);
void cmd_client_setinfo(Call& call);
void cmd_client_setname(Call& call);

}  // namespace shoal
