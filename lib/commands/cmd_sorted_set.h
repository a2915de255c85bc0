// SPDX-License-Identifier: MIT
#pragma once

namespace shoal {

class Call;

void cmd_bzmpop(Call& call);
void cmd_bzpopmax(Call& call);
void cmd_bzpopmin(Call& call);
void cmd_zadd(Call& call);
void cmd_zcard(Call& call);
void cmd_zcount(Call& call);
void cmd_zdiff(Call& call);
void cmd_zdiffstore(Call& call);
void cmd_zincrby(Call& call);
void cmd_zinter(Call& call);
void cmd_zintercard(Call& call);
void cmd_zinterstore(Call& call);
void cmd_zlexcount(Call& call);
void cmd_zmpop(Call& call);
void cmd_zmscore(Call& call);
void cmd_zpopmax(Call& call);
void cmd_zpopmin(Call& call);
void cmd_zrandmember(Call& call);
void cmd_zrange(Call& call);
void cmd_zrangebylex(Call& call);
void cmd_zrangebyscore(Call& call);
void cmd_zrangestore(Call& call);
void cmd_zrank(Call& call);
void cmd_zrem(Call& call);
void cmd_zremrangebylex(Call& call);
void cmd_zremrangebyrank(Call& call);
void cmd_zremrangebyscore(Call& call);
void cmd_zrevrange(Call& call);
void cmd_zrevrangebylex(Call& call);
void cmd_zrevrangebyscore(Call& call);
void cmd_zrevrank(Call& call);
void cmd_zscan(Call& call);
void cmd_zscore(Call& call);
void cmd_zunion(Call& call);
void cmd_zunionstore(Call& call);

}  // namespace shoal
