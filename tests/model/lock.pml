/* SPDX-License-Identifier: MIT
 * lock.pml: owner locks, undo journals, R(D) and the reuse of contexts, with a death possible at any step.
 *
 *   here                                in the code
 *   take_context, leave_context         process/context.cc: claim_context() with reset(), write_note(), publish(); leave_context()
 *   LOOKS_DEAD                          process/context.h: dead()
 *   lock_shard, unlock_shard            transaction/owner_lock.{h,cc}: try_lock(), lock_slow(), unlock()
 *   edit, commit, roll_back             transaction/transaction.{h,cc}: become_visible(), edit_bytes(), commit(), rollback(), release_locks();
 *                                       transaction/journal.{h,cc}: append(), undo()
 *   recover                             transaction/recovery.cc: recover(), claim_recovery(), undo_and_unlock()
 *   retire                              process/context.cc: retire_context()
 *   sweep                               transaction/recovery.cc: recover_all(); process/process.cc: begin_reaping(),
 *                                       recover_contexts_of(), finish_reaping(); process/context.cc: free_claim()
 *   read_shard                          transaction/snapshot.h
 *
 * One step here is one access to the segment there. A worker is a process with one thread; a life of it claims a context,
 * runs a transaction over shard 0, shard 1 or both, and leaves. A transaction turns every word of its shards over, so
 * whoever gets a lock can compare the words with what was committed. The killer stops a worker between any two steps;
 * the kernel marks its death note later, and frees its life byte later still. The last comer arrives when all others are
 * dead or done, and has to find everything free.
 *
 * What waits there with time-outs blocks here until there is something to do: who waits for ever is an invalid end state.
 * Not here: memory orders (memory_order.cc), pages, wakes (wake.pml), budgets, the waiters bit (sleeps have time-outs).
 */

#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef LIVES
#define LIVES 1 /* of a worker: threads that follow each other */
#endif
#ifndef DEATHS
#define DEATHS WORKERS
#endif
#ifndef READERS
#define READERS 0
#endif
#ifndef SWEEPS
#define SWEEPS 0 /* 1: a worker may also look after the dead before its transaction */
#endif

#define LAST WORKERS            /* the last comer's number; its context is the reserved one */
#define CONTEXTS (WORKERS + 1)
#define SHARDS 2
#define WORDS 3                 /* words 0 and 1 lie in shard 0, word 2 in shard 1 */
#define SHARD_OF(w) ((w) / 2)
#ifdef ONE_WORD                 /* fewer states: a transaction leaves word 1 alone */
#define LAST_WORD 0
#else
#define LAST_WORD 1
#endif
#define PROCESSES (WORKERS * LIVES + 2)

/* The segment. An id is generation * CONTEXTS + index + 1, a claim the number of a process + 1. */
byte owner[SHARDS], sequence[SHARDS];
bit word[WORDS];
byte claim[CONTEXTS], id[CONTEXTS], recoverer[CONTEXTS], next_generation[CONTEXTS], journal_words[CONTEXTS];
byte note[CONTEXTS];            /* the death note */
byte record_word[CONTEXTS * WORDS];
bit record_old[CONTEXTS * WORDS];
#define NOTE_FREE 0
#define NOTE_LOCKED 1
#define NOTE_MARKED 2

/* What is outside of it: the kernel's knowledge. */
byte life_byte[PROCESSES];      /* and the state of the slot */
byte reaper[PROCESSES];         /* who holds the life byte of a dead slot, + 1 */
#define LIFE_NONE 0
#define LIFE_HELD 1
#define LIFE_DEAD 2             /* free, and the slot still used */
bit killed[WORKERS], running[WORKERS];
byte note_holder[CONTEXTS];     /* the worker whose thread locked the note, + 1 */
byte ended = 0;

/* What nobody there knows: the truth to compare with. */
bit committed[SHARDS];
byte inside[SHARDS];            /* the living holder, + 1 */

#define INDEX(an_id) (((an_id) - 1) % CONTEXTS)
#define LOOKS_DEAD(an_id) (id[INDEX(an_id)] != (an_id) || note[INDEX(an_id)] == NOTE_MARKED)
#define MAY_RECOVER(an_id)                                                                                             \
  (recoverer[INDEX(an_id)] == 0 || recoverer[INDEX(an_id)] == my_id || LOOKS_DEAD(recoverer[INDEX(an_id)]))
#define TO_BE_REAPED(process) (life_byte[process] == LIFE_DEAD && reaper[process] == 0)

inline set_sequence(shard, value) {
  d_step {
    assert((value) >= sequence[shard]); /* no reader sees an earlier one again */
    sequence[shard] = value;
  }
}

/* ---- A context ---- */

inline take_context() {
  c = 0;
  do
  :: atomic { c < CONTEXTS - 1 && claim[c] != 0 -> c++ }
  :: atomic { c < CONTEXTS - 1 && claim[c] == 0 -> claim[c] = my_process + 1; break } /* a CAS */
  :: c == CONTEXTS - 1 -> break /* all regular ones are taken */
  od;
  if
  :: c == CONTEXTS - 1 && me != LAST -> my_id = 0
  :: else ->
     if
     :: c == CONTEXTS - 1 -> atomic { claim[c] == 0 -> claim[c] = my_process + 1 } /* the reserved one */
     :: else
     fi;
     assert(id[c] == 0 && journal_words[c] == 0);
#ifdef FAULT_CONTEXT_REUSED_BEFORE_ITS_NOTE_IS_CLEARED
     publish_id();
     lock_note()
#else
     lock_note();
     publish_id()
#endif
  fi
}

inline lock_note() {
  note[c] = NOTE_FREE;
  atomic { note[c] = NOTE_LOCKED; note_holder[c] = me + 1 }
}

inline publish_id() {
  next_generation[c] = next_generation[c] + 1;
  atomic { my_id = next_generation[c] * CONTEXTS + c + 1; id[c] = my_id }
}

inline leave_context() {
  id[c] = 0;
  atomic { note[c] = NOTE_FREE; note_holder[c] = 0 }
  claim[c] = 0
}

/* ---- R(D) ---- */

inline recover(dead_id, slot_is_dead) {
  x = INDEX(dead_id);
  atomic { seen = recoverer[x]; mine = (seen == my_id); late = (seen != 0 && !mine && !LOOKS_DEAD(seen)) }
#ifdef FAULT_RECOVERER_DOES_NOT_CLAIM
  mine = 1; late = 0;
#endif
  if
  :: late
  :: else ->
     atomic {
       if
       :: !mine && recoverer[x] == seen -> recoverer[x] = my_id; mine = 1
       :: else
       fi
     }
     if
     :: mine ->
#ifndef FAULT_RECOVERER_DOES_NOT_ASK_AGAIN
        if
        :: id[x] == dead_id && (slot_is_dead || LOOKS_DEAD(dead_id)) ->
#endif
           undo_and_unlock(dead_id);
           retire(dead_id)
#ifndef FAULT_RECOVERER_DOES_NOT_ASK_AGAIN
        :: else
        fi
#endif
        ;
        recoverer[x] = 0
     :: else
     fi
  fi;
  d_step { x = 0; seen = 0; mine = 0; late = 0 } /* what is done with takes no part in the states */
}

inline undo_and_unlock(dead_id) {
#ifdef FAULT_CONTEXT_RETIRED_BEFORE_ITS_UNDO
  retire(dead_id);
#endif
#ifdef FAULT_UNLOCK_BEFORE_UNDO
  free_locks(dead_id);
#endif
  s = 0;
  do
  :: s < SHARDS ->
     if
     :: owner[s] == dead_id && sequence[s] % 2 == 0 -> set_sequence(s, sequence[s] + 1)
     :: else
     fi;
     s++
  :: else -> break
  od;
  i = journal_words[x];
#ifdef FAULT_JOURNAL_EMPTIED_BEFORE_THE_UNDO
  journal_words[x] = 0;
#endif
  undo(x);
  journal_words[x] = 0;
  free_locks(dead_id)
}

inline free_locks(dead_id) {
  s = 0;
  do
  :: s < SHARDS ->
     if
     :: owner[s] == dead_id ->
#ifdef FAULT_SEQUENCE_GOES_BACK
        set_sequence(s, sequence[s] - sequence[s] % 2);
#else
        set_sequence(s, (sequence[s] | 1) + 1);
#endif
        owner[s] = 0
     :: else
     fi;
     s++
  :: else -> s = 0; break
  od
}

inline retire(dead_id) {
  claim[x] = my_process + 1;
  id[x] = 0;
  claim[x] = 0
}

/* Applies the journal of context `whose` backwards from record i. It may only touch what its owner locked. */
inline undo(whose) {
  do
  :: i > 0 ->
     i--;
     d_step {
       assert(inside[SHARD_OF(record_word[whose * WORDS + i])] == (whose == c -> me + 1 : 0));
       word[record_word[whose * WORDS + i]] = record_old[whose * WORDS + i]
     }
  :: else -> break
  od
}

/* ---- A transaction over the shards [first, last] ---- */

inline lock_shard(shard) {
  do
  :: atomic { owner[shard] == 0 -> owner[shard] = my_id; enter(shard); break }
  :: h = owner[shard];
     if
     :: h != 0 && LOOKS_DEAD(h) && MAY_RECOVER(h) ->
#ifdef FAULT_LOCK_TAKEN_FROM_THE_DEAD_WITHOUT_RECOVERY
        atomic { owner[shard] == h -> owner[shard] = my_id; enter(shard); break }
#else
        recover(h, false)
#endif
     :: owner[shard] != h || h == 0
     fi
  od;
  h = 0
}

/* Everything that was begun here is done or undone. */
inline enter(shard) {
  d_step {
    assert(inside[shard] == 0);
    inside[shard] = me + 1;
    assert(shard != 0 || (word[0] == committed[0] && word[LAST_WORD] == committed[0]));
    assert(shard != 1 || word[2] == committed[1])
  }
}

inline unlock_shard(shard) { atomic { owner[shard] = 0; inside[shard] = 0 } }

inline edit(w) {
#ifdef FAULT_STORE_BEFORE_ITS_RECORD
  word[w] = 1 - word[w];
  append(w, 1 - word[w])
#else
  append(w, word[w]);
  word[w] = 1 - word[w]
#endif
}

inline append(w, old) {
#ifdef FAULT_RECORD_COUNTS_BEFORE_IT_IS_WRITTEN
  journal_words[c] = journal_words[c] + 1;
  d_step { record_word[c * WORDS + journal_words[c] - 1] = w; record_old[c * WORDS + journal_words[c] - 1] = old }
#else
  d_step { record_word[c * WORDS + journal_words[c]] = w; record_old[c * WORDS + journal_words[c]] = old }
  journal_words[c] = journal_words[c] + 1
#endif
}

#ifdef FAULT_EDITS_ARE_INVISIBLE
#define TO_ODD 0
#define TO_EVEN 2
#else
#define TO_ODD 1
#define TO_EVEN 1
#endif

inline move_sequences(by) {
  s = first;
  do
  :: s <= last -> set_sequence(s, sequence[s] + by); s++
  :: else -> break
  od;
  s = 0
}

inline release_locks() {
  move_sequences(TO_EVEN);
  if
  :: last == 1 -> unlock_shard(1)
  :: else
  fi;
  if
  :: first == 0 -> unlock_shard(0)
  :: else
  fi
}

inline commit() {
  atomic {
    journal_words[c] = 0; /* the commit */
    if
    :: first == 0 -> committed[0] = 1 - committed[0]
    :: else
    fi;
    if
    :: last == 1 -> committed[1] = 1 - committed[1]
    :: else
    fi
  }
}

inline roll_back() {
  i = journal_words[c];
  undo(c);
  journal_words[c] = 0
}

inline transaction() {
  if
  :: first == 0 -> lock_shard(0)
  :: else
  fi;
  if
  :: last == 1 -> lock_shard(1)
  :: else
  fi;
  move_sequences(TO_ODD);
  if
#ifdef ONE_WORD
  :: first == 0 -> edit(0)
#else
  :: first == 0 -> edit(0); edit(1)
#endif
  :: else
  fi;
  if
  :: last == 1 -> edit(2)
  :: else
  fi;
  if
#ifdef FAULT_UNLOCK_BEFORE_THE_COMMIT
  :: release_locks(); commit()
#else
  :: commit(); release_locks()
#endif
#ifndef NO_ROLLBACK
  :: roll_back(); release_locks()
#endif
  fi
}

/* ---- Looking after the dead ---- */

/* A slot at a time, its life byte in the reaper's hands; a sweep of all contexts before that. */
inline sweep() {
  y = 0;
  do
  :: y < CONTEXTS ->
     atomic { h = id[y] }
     if
     :: h != 0 && h != my_id && LOOKS_DEAD(h) -> recover(h, false)
     :: else
     fi;
     y++
  :: else -> break
  od;
  p = 0;
  do
  :: p < PROCESSES ->
     atomic {
       if
       :: TO_BE_REAPED(p) -> reaper[p] = me + 1; mine = 1
       :: else -> mine = 0
       fi
     }
     if
     :: mine -> reap(p + 1)
     :: else
     fi;
     p++
  :: else -> p = 0; y = 0; break
  od
}

inline reap(slot) {
  y = 0;
  do
  :: y < CONTEXTS ->
     atomic { mine = (claim[y] == slot); h = id[y] }
     if
     :: mine && h != 0 && h != my_id -> recover(h, true)
     :: else
     fi;
     y++
  :: else -> break
  od;
  y = 0;
  late = 0; /* something is left */
  do
  :: y < CONTEXTS ->
     if
     :: claim[y] == slot ->
        if
        :: id[y] == 0 -> atomic { if :: claim[y] == slot -> claim[y] = 0 :: else fi } /* free_claim() */
        :: else -> late = 1
        fi
     :: else
     fi;
     y++
  :: else -> break
  od;
  atomic { life_byte[p] = (late -> LIFE_DEAD : LIFE_NONE); reaper[p] = 0 }
}

/* ---- Who there is ---- */

#define LOCALS                                                                                                         \
  byte my_process, my_id, c, h, s, i, x, y, p, seen;                                                                   \
  byte first, last;                                                                                                    \
  bit mine, late

inline choose_shards() {
#ifdef ONLY_SHARD_0
  first = 0; last = 0
#else
  if
  :: first = 0; last = 0
  :: first = 0; last = 1
  :: first = 1; last = 1
  fi
#endif
}

proctype worker(byte me) {
  LOCALS;
  byte life = 0;
again:
  atomic { my_process = me * LIVES + life; life_byte[my_process] = LIFE_HELD; running[me] = 1; c = 0 }
  {
    take_context();
    if
    :: my_id != 0 ->
#if SWEEPS
       if
       :: sweep()
       :: true
       fi;
#endif
       atomic { choose_shards() }
       transaction();
       leave_context()
    :: else
    fi
  } unless { killed[me] };
  /* The end of the process, by itself or by the killer. The kernel marks the notes first, then frees the life byte. */
  atomic {
    running[me] = 0;
    c = 0;
    do
    :: c < CONTEXTS ->
       if
       :: note_holder[c] == me + 1 -> note[c] = NOTE_MARKED; note_holder[c] = 0
       :: else
       fi;
       c++
    :: else -> break
    od
  }
  d_step {
    life_byte[my_process] = (killed[me] -> LIFE_DEAD : LIFE_NONE);
    c = 0;
    do
    :: c < PROCESSES ->
       if
       :: reaper[c] == me + 1 -> reaper[c] = 0
       :: else
       fi;
       c++
    :: else -> break
    od
  }
  d_step { my_id = 0; c = 0; h = 0; s = 0; i = 0; x = 0; y = 0; p = 0; seen = 0; first = 0; last = 0; mine = 0; late = 0 }
  if
  :: atomic { life < LIVES - 1 -> life++; killed[me] = 0; goto again }
  :: life == LIVES - 1 -> ended++
  fi
}

/* SIGKILL: a worker stops, in whatever step it is, and is no living holder any more. */
#define KILL(w)                                                                                                        \
  atomic {                                                                                                             \
    kills < DEATHS && running[w] && !killed[w] ->                                                                      \
    killed[w] = 1;                                                                                                     \
    kills++;                                                                                                           \
    inside[0] = (inside[0] == w + 1 -> 0 : inside[0]);                                                                 \
    inside[1] = (inside[1] == w + 1 -> 0 : inside[1])                                                                  \
  }

proctype killer() {
  byte kills = 0;
  do
  :: KILL(0)
#if WORKERS > 1
  :: KILL(1)
#endif
#if WORKERS > 2
  :: KILL(2)
#endif
  :: break
  od
}

#if READERS
/* What a reader without a lock takes for true is what was committed when it looked at the sequence again. */
proctype reader() {
  byte before;
  bit w0, w1;
  before = sequence[0];
  w0 = word[0];
  w1 = word[1];
  atomic {
    if
    :: before % 2 == 0 && sequence[0] == before -> assert(w0 == committed[0] && w1 == committed[0])
    :: else
    fi
  }
}
#endif

/* Everybody else is dead or gone: the next caller finds everything as if nothing had happened. */
proctype last_comer() {
  LOCALS;
  byte me = LAST;
  ended == WORKERS;
  my_process = PROCESSES - 1;
  life_byte[my_process] = LIFE_HELD;
  take_context();
  first = 0; last = 1;
  transaction();
  sweep();
  leave_context();
  d_step {
    assert(owner[0] == 0 && owner[1] == 0);
    assert(sequence[0] % 2 == 0 && sequence[1] % 2 == 0);
    c = 0;
    do
    :: c < CONTEXTS -> assert(claim[c] == 0 && id[c] == 0 && (recoverer[c] == 0 || LOOKS_DEAD(recoverer[c])) && journal_words[c] == 0); c++
    :: else -> break
    od
  }
}

init {
  atomic {
    byte n = 0;
    do
    :: n < WORKERS -> run worker(n); n++
    :: else -> break
    od;
#if READERS
    run reader();
#endif
    run killer();
    run last_comer()
  }
}
