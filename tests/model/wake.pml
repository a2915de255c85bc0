/* SPDX-License-Identifier: MIT
 * wake.pml: sleeping and waking, the debt of a dead waker, and the relay, with a death possible at any step.
 *
 *   here                        in the code
 *   sleeper                     process/wake.cc: LoopWaker::arm(), disarm(); with THREADS ThreadSleep::prepare(), wait(), cancel()
 *   wake                        process/wake.cc: wake_context(), wake_loop(), end_epoch()
 *   wake_to_pass_on, wake_some, pass_on     process/relay.cc, with kFanOut = 1
 *   publisher                   channels/publish.cc: publish_locked(), give_hints(); process/relay.cc: Sleepers; the debt is
 *                               Context::wake_debt (Transaction::owe_wakes()) or kHintsOwed, which are served alike
 *   recoverer                   transaction/recovery.cc: recover() from finish_outbox() on; process/wake.cc: wake_everybody()
 *
 * A message goes to every sleeper: each looks at `published`, and sleeps when it has seen all. No sleep has a time-out here,
 * also those that have one in the code: what wakes a sleeper is the protocol alone. When nobody can do a step any more, every
 * sleeper that lives must have seen every message.
 *
 * A step is one access to the segment: what a process does with its own variables belongs to the step before or behind it,
 * and they are 0 whenever they mean nothing, also those of the dead, so that spin meets the same state again.
 *
 * Not here: memory orders (memory_order.cc has the two fences), two sleeps of one context, and a context's reuse: that who
 * means a former thread neither ends a sleep of the next nor takes a mark of it is for the tests (Relay.*, Wake.*).
 */

#ifndef SLEEPERS
#define SLEEPERS 1
#endif
#ifndef PUBLISHERS
#define PUBLISHERS 2
#endif
#ifndef MESSAGES
#define MESSAGES 1 /* of a publisher */
#endif
#ifndef DEATHS
#define DEATHS 2
#endif

#define CONTEXTS (SLEEPERS + PUBLISHERS) /* the sleepers' first */
#define RECOVERER CONTEXTS

#define LEFT 1
#define PASS_ON 2
#define PASSING 4

/* The segment. */
byte published;
byte epoch[SLEEPERS];    /* odd = asleep */
byte relay[CONTEXTS];
bit debt[CONTEXTS];
bit retired[CONTEXTS];
bit fifo[SLEEPERS];      /* a byte lies in it */
bit in_futex[SLEEPERS];  /* the kernel keeps it asleep */

bit killed[CONTEXTS + 1];
byte kills;
byte seen[SLEEPERS];

#define IS_ODD(e) ((e) % 2 == 1)

/* ---- The waker's side ---- */

inline ring(i) {
#ifdef THREADS
  in_futex[i] = 0
#else
  fifo[i] = 1
#endif
}

inline end_epoch(i) {
  atomic {
#ifdef FAULT_PLAIN_FLAG_INSTEAD_OF_AN_EPOCH
    woken = 1;
    epoch[i] = epoch[i] + epoch[i] % 2;
#else
    woken = (epoch[i] == e);
    epoch[i] = (woken -> e + 1 : epoch[i]);
#endif
    e = 0
  }
}

/* Says in `woken` whether it was this one who woke i. */
inline wake(i) {
  if
  :: atomic { IS_ODD(epoch[i]) -> e = epoch[i] };
     if
     :: !retired[i] ->
#ifdef THREADS
#ifdef FAULT_FUTEX_WAKE_BEFORE_THE_EPOCH
        ring(i); end_epoch(i)
#else
        end_epoch(i); ring(i)
#endif
#else
#ifdef FAULT_FLAG_CLEARED_BEFORE_THE_BYTE
        end_epoch(i); ring(i)
#else
        ring(i); end_epoch(i)
#endif
#endif
     :: atomic { retired[i] -> e = 0 }
     fi
  :: !IS_ODD(epoch[i])
  fi
}

inline wake_to_pass_on(i) {
#ifndef FAULT_RELAY_TELLS_AFTER_IT_WOKE
  relay[i] = relay[i] | PASS_ON;
#endif
  wake(i)
#ifdef FAULT_RELAY_TELLS_AFTER_IT_WOKE
  ;
  relay[i] = relay[i] | PASS_ON
#endif
}

/* One of those who are left, beginning behind `start`. Between calls t, k and woken are 0. */
#define NEXT(start) ((start + 1 + t) % SLEEPERS)
#define LOOKING (t < SLEEPERS && !woken)

inline wake_some(start) {
  do
  :: atomic { LOOKING && (relay[NEXT(start)] & LEFT) -> k = NEXT(start); relay[k] = relay[k] & ~LEFT; t++ };
     if
     :: !retired[k] -> wake_to_pass_on(k)
     :: retired[k]
     fi
  :: atomic { LOOKING && !(relay[NEXT(start)] & LEFT) -> t++ }
  :: !LOOKING -> break
  od;
  atomic { t = 0; k = 0; woken = 0 }
}

#define LOCALS                                                                                                         \
  byte e, t, k;                                                                                                        \
  bit woken
#define FORGET e = 0; t = 0; k = 0; woken = 0

/* ---- Who there is ---- */

proctype sleeper(byte me) {
  LOCALS;
  byte prepared;
  {
    do
    :: seen[me] = published;
       atomic { epoch[me] = epoch[me] + 1; prepared = epoch[me] }
       if
#ifdef FAULT_NO_LOOK_AFTER_FALLING_ASLEEP
       :: true ->
#else
       :: published == seen[me] ->
#endif
#ifdef THREADS
          in_futex[me] = (epoch[me] == prepared); /* FUTEX_WAIT compares and sleeps in one */
end_asleep:
          !in_futex[me]
#else
end_asleep:
          fifo[me]
#endif
#ifndef FAULT_NO_LOOK_AFTER_FALLING_ASLEEP
       :: published != seen[me]
#endif
       fi;
       atomic { epoch[me] = (epoch[me] == prepared -> prepared + 1 : epoch[me]); prepared = 0 }
#ifndef FAULT_WOKEN_ONES_DO_NOT_PASS_ON
       do
       :: atomic { relay[me] & PASS_ON -> relay[me] = (relay[me] & ~PASS_ON) | PASSING };
          wake_some(me);
          relay[me] = relay[me] & ~PASSING
       :: !(relay[me] & PASS_ON) -> break
       od;
#endif
#ifndef THREADS
       fifo[me] = 0
#endif
    od
  } unless { atomic { killed[me] -> FORGET; prepared = 0; seen[me] = 0; fifo[me] = 0; in_futex[me] = 0 } }
}

#define SLEEPS(i) (IS_ODD(epoch[i]) && !retired[i])

proctype publisher(byte me) {
  LOCALS;
  byte own = SLEEPERS, i, m;
  bit left_some;
  {
    do
    :: m < MESSAGES ->
#ifndef FAULT_DEBT_AFTER_THE_COMMIT
       debt[me] = 1;
#endif
       published = published + 1;
#ifdef FAULT_DEBT_AFTER_THE_COMMIT
       debt[me] = 1;
#endif
       /* give_hints(): the first that sleeps is its own to wake, the others are left */
       do
       :: atomic { i < SLEEPERS && SLEEPS(i) && own == SLEEPERS -> own = i; i++ }
       :: i < SLEEPERS && SLEEPS(i) && own < SLEEPERS -> atomic { relay[i] = relay[i] | LEFT; left_some = 1; i++ }
       :: atomic { i < SLEEPERS && !SLEEPS(i) -> i++ }
       :: i == SLEEPERS -> break
       od;
       if
       :: own == SLEEPERS
       :: own < SLEEPERS && !left_some -> wake(own)
       :: own < SLEEPERS && left_some ->
          wake_to_pass_on(own);
          if
#ifndef FAULT_PUBLISHER_TRUSTS_WHO_IS_AWAKE
          :: !woken -> wake_some(0)
#endif
          :: else
          fi
       fi;
       atomic { debt[me] = 0; own = SLEEPERS; i = 0; left_some = 0; woken = 0; m++ }
    :: m == MESSAGES -> break
    od
  } unless { atomic { killed[me] -> FORGET; own = SLEEPERS; i = 0; left_some = 0; m = MESSAGES } }
}

#ifdef FAULT_RECOVERY_FORGETS_THE_RELAY
#define OWES_A_RELAY(d) false
#else
#define OWES_A_RELAY(d) (relay[d] & (PASS_ON | PASSING))
#endif
#define IS_TO_RECOVER(n) (killed[n] && !retired[n])

/* Whoever recovers; if he dies, the next one begins anew. */
proctype recoverer() {
  LOCALS;
  byte d, i;
end_nobody_to_recover:
  do
  :: {
       if
       :: atomic { IS_TO_RECOVER(0) -> d = 0 }
       :: atomic { IS_TO_RECOVER(1) -> d = 1 }
#if SLEEPERS + PUBLISHERS > 2
       :: atomic { IS_TO_RECOVER(2) -> d = 2 }
#endif
#if SLEEPERS + PUBLISHERS > 3
       :: atomic { IS_TO_RECOVER(3) -> d = 3 }
#endif
       fi;
#ifndef FAULT_RECOVERY_LEAVES_THE_DEAD_ASLEEP
       if
       :: atomic { d < SLEEPERS && IS_ODD(epoch[d]) -> epoch[d] = epoch[d] + 1 }
       :: else
       fi;
#endif
       if
       :: debt[d] || OWES_A_RELAY(d) ->
          do
          :: i < SLEEPERS && !retired[i] ->
             e = epoch[i];
#ifdef THREADS
             if
             :: IS_ODD(e) -> end_epoch(i)
             :: else
             fi;
#ifdef FAULT_RECOVERY_LEAVES_WHO_LOOKS_AWAKE
             if
             :: woken -> ring(i)
             :: else
             fi;
#else
             ring(i);
#endif
#else
             if
             :: IS_ODD(e) -> ring(i); end_epoch(i)
             :: else
             fi;
#endif
             atomic { e = 0; woken = 0; i++ }
          :: i < SLEEPERS && retired[i] -> i++
          :: i == SLEEPERS -> break
          od
       :: else
       fi;
       debt[d] = 0;
       relay[d] = 0;
       atomic { retired[d] = 1; d = 0; i = 0 }
     } unless { atomic { killed[RECOVERER] -> killed[RECOVERER] = 0; FORGET; d = 0; i = 0 } }
  od
}

proctype killer() {
  byte victim;
end_enough:
  do
  :: kills < DEATHS ->
     atomic {
       do /* the recoverer, too */
       :: victim < CONTEXTS -> victim++
       :: break
       od;
       if
       :: !killed[victim] -> killed[victim] = 1; kills++
       :: else
       fi;
       victim = 0
     }
  :: break
  od
}

/* When nobody can do anything any more. */
proctype judge() {
  byte i;
end_wait:
  timeout;
  atomic {
    do
    :: i < SLEEPERS -> assert(killed[i] || seen[i] == published); i++
    :: else -> break
    od
  }
}

init {
  atomic {
    byte n = 0;
    do
    :: n < SLEEPERS -> run sleeper(n); n++
    :: n >= SLEEPERS && n < CONTEXTS -> run publisher(n); n++
    :: n == CONTEXTS -> break
    od;
    run recoverer();
    run killer();
    run judge()
  }
}
