// SPDX-License-Identifier: MIT
#include "keyspace/expiry.h"

#include <algorithm>
#include <array>

namespace shoal::keyspace {

namespace {

constexpr uint32_t kLookedAtInStep = 256;  // entries: some tens of microseconds with cold caches

struct Found {
  std::array<uint64_t, kExpiredInStep> expired;
  uint32_t count = 0, looked_at = 0;
  bool more_here = false;  // the bucket has more expired keys than fit
};

void look_at(const shm::Entry& entry, uint64_t item, int64_t now_ms, ExpiryPass& pass, Found& found) noexcept {
  ++found.looked_at;
  const int64_t expires = entry.expires_ms();
  if (expires == 0) return;
  if (!expired(entry, now_ms)) {
    pass.earliest = std::min(pass.earliest, static_cast<uint64_t>(expires));
  } else if (found.count < kExpiredInStep) {
    found.expired[found.count++] = item;
  } else {
    found.more_here = true;
  }
}

}  // namespace

bool expiry_due(const Segment& segment, uint32_t index, int64_t now_ms) noexcept {
  const shm::Shard& shard = segment.shard(index);
  if (shard.next_expiry_ms > static_cast<uint64_t>(now_ms)) return false;
  return std::any_of(std::begin(shard.database_expires), std::end(shard.database_expires),
                     [](uint64_t count) { return count != 0; });
}

bool expire_step(Transaction& tx, uint32_t index, int64_t now_ms, ExpiryPass& pass) noexcept {
  const shm::Shard& shard = tx.shard(index);
  tx.set_home(index);
  if (!pass.running) {
    pass = {0, UINT64_MAX, true};
    tx.edit(shard.next_expiry_ms) = UINT64_MAX;
  }
  Found found;
  bool over = false;
  while (!over && found.count < kExpiredInStep && found.looked_at < kLookedAtInStep) {
    const uint32_t next = Dict::scan(tx.segment(), shard.keys, pass.cursor, [&](uint64_t item) {
      look_at(tx.view<shm::Entry>(item), item, now_ms, pass, found);
    });
    if (found.more_here) break;  // this bucket again, when these are gone
    pass.cursor = next;
    over = next == 0;
  }
  for (uint32_t i = 0; i < found.count; ++i) {
    const auto& entry = tx.view<shm::Entry>(found.expired[i]);
    const Key key = make_key(tx.segment(), entry.info().database, entry.key());
    tx.name(Purpose::kExpire, key.hash);
    remove(tx, key, entry);
  }
  tx.name(Purpose::kExpire, 0);
  if (!over) tx.disown(Purpose::kExpire, 0);  // what kills may lie in the rest
  if (over) {
    pass.running = false;
    if (pass.earliest < shard.next_expiry_ms) tx.edit(shard.next_expiry_ms) = pass.earliest;
  }
  return over;
}

}  // namespace shoal::keyspace
