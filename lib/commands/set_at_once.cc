// SPDX-License-Identifier: MIT
#include "commands/set_at_once.h"

#include "base/clock.h"
#include "transaction/transaction.h"

namespace shoal {

bool set_in_transaction(Session& session, shm::Context& self, SingleEdit::Held held, Bytes name, uint64_t hash,
                        Bytes value) {
  Transaction tx(session.process(), self, {Purpose::kSet, false, hash}, held);
  if (name.size() > kNameBytesMax || value.size() > kValueBytesMax) return false;
  const Key key{name, hash, held.shard, static_cast<uint8_t>(session.database())};
  keyspace::set_string(tx, key, keyspace::find_for_write(tx, key, wall_clock_ms), value, 0);
  keyspace::free_a_little(tx);
  return tx.commit().ok();
}

}  // namespace shoal
