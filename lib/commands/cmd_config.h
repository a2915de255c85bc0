// SPDX-License-Identifier: MIT
#pragma once

namespace shoal {

class Call;

void cmd_config_get(Call& call);
void cmd_config_resetstat(Call& call);
void cmd_config_rewrite(Call& call);
void cmd_config_set(Call& call);

}  // namespace shoal
