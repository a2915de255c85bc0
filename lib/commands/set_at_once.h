// SPDX-License-Identifier: MIT
// set_at_once.h: SET name value without words, for a typed client: one attempt in a straight line.
// Dies at any line: undone with the transaction.
#pragma once

#include "base/clock.h"
#include "channels/outbox.h"
#include "commands/session.h"
#include "keyspace/string_value.h"

namespace shoal {

// False: nothing has happened, and the session must run the command "SET": the shard is locked at this moment, the
// segment has to grow, or there is something about the session or the name that is seldom.
// Inlined with all that it calls in the usual case: a cold key's SET waits for two misses of the cache, and the
// processor begins the caller's next one meanwhile only if there are few instructions between. That is why the bucket
// is asked for before anything else is looked at.
[[gnu::always_inline]] inline bool set_at_once(Session& session, Bytes name, Bytes value) {
  Process& process = session.process();
  const Key key = keyspace::make_key(process.segment(), session.database(), name);
  keyspace::prefetch(process.segment(), key);
  shm::Context* const self = process.known_context();
  if (self == nullptr || channels::has_outbox(*self) || session.in_multi() || session.blocked_call().registered ||
      name.size() > kNameBytesMax || value.size() > kValueBytesMax) {
    return false;
  }
  Transaction tx(process, *self);
  if (!tx.try_begin(key.shard)) return false;
  if (__builtin_expect(!keyspace::overwrite_plain(tx, key, value), 0))
    keyspace::set_string(tx, key, keyspace::find_for_write(tx, key, wall_clock_ms), value, 0);
  keyspace::free_a_little(tx);
  return tx.commit().ok();
}

}  // namespace shoal
