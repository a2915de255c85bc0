// SPDX-License-Identifier: MIT
// set_at_once.h: SET name value without words, for a typed client: one attempt in a straight line.
// Dies at any line: undone with the transaction.
#pragma once

#include "channels/outbox.h"
#include "commands/session.h"
#include "keyspace/string_value.h"
#include "transaction/single_edit.h"

namespace shoal {

// In a transaction, whatever the key holds.
[[gnu::noinline]] bool set_in_transaction(Session& session, shm::Context& self, SingleEdit::Held held, Bytes name,
                                          uint64_t hash, Bytes value);

// False: nothing has happened, and the session must run the command "SET": the shard is locked at this moment, the
// segment has to grow, or there is something about the session or the name that is seldom.
// Inlined with all that it calls in the usual case: a cold key's SET waits for two misses of the cache, its bucket's
// and its entry's, and the processor begins the caller's next one meanwhile only if there are few instructions between.
// That is why the bucket is asked for before anything else is looked at.
[[gnu::always_inline]] inline bool set_at_once(Session& session, Bytes name, Bytes value) {
  Process& process = session.process();
  Segment& segment = process.segment();
  const Key key = keyspace::make_key(segment, session.database(), name);
  Dict::prefetch(segment, segment.shard(key.shard).keys, key.hash);
  shm::Context* const self = process.known_context();
  if (self == nullptr || channels::has_outbox(*self) || session.in_multi() || session.blocked_call().registered)
    return false;
  SingleEdit edit(segment, *self, {Purpose::kSet, false, key.hash}, key.shard);
  if (!edit.locked()) return false;
  if (__builtin_expect(!keyspace::has_lazy_frees(edit.shard(key.shard)) && keyspace::overwrite_plain(edit, key, value),
                       1)) {
    edit.commit();
    return true;
  }
  return set_in_transaction(session, *self, edit.release(), name, key.hash, value);
}

}  // namespace shoal
