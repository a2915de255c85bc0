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
 * Not here: memory orders (memory_order.cc has the two fences), a context's reuse (lock.pml), two sleeps of one context.
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

/* VICTIM: the number of the only one who may die; else all of them, the recoverer too. */
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
#ifdef FAULT_PLAIN_FLAG_INSTEAD_OF_AN_EPOCH
  atomic { woken = 1; epoch[i] = epoch[i] + epoch[i] % 2 }
#else
  atomic {
    woken = (epoch[i] == e);
    epoch[i] = (woken -> e + 1 : epoch[i])
  }
#endif
}

inline wake(i) {
  woken = 0;
  e = epoch[i];
  if
  :: IS_ODD(e) && !retired[i] ->
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
  :: else
  fi;
  e = 0
}

inline wake_to_pass_on(i) {
#ifndef FAULT_RELAY_TELLS_AFTER_IT_WOKE
  relay[i] = relay[i] | PASS_ON;
#endif
  relay[i] = relay[i] & ~LEFT;
  wake(i)
#ifdef FAULT_RELAY_TELLS_AFTER_IT_WOKE
  ;
  relay[i] = relay[i] | PASS_ON
#endif
}

/* One of those who are left, beginning behind `start`. */
inline wake_some(start) {
  t = 1;
  do
  :: t <= SLEEPERS ->
     k = (start + t) % SLEEPERS;
     atomic { taken = relay[k] & LEFT; relay[k] = relay[k] & ~LEFT }
     if
     :: taken && !retired[k] ->
        wake_to_pass_on(k);
        if
        :: woken -> break
        :: else -> t++
        fi
     :: else -> t++
     fi
  :: else -> break
  od;
  atomic { t = 0; k = 0; taken = 0; woken = 0 }
}

#define LOCALS                                                                                                         \
  byte e, t, k, taken;                                                                                                 \
  bit woken

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
          atomic { in_futex[me] = (epoch[me] == prepared) } /* FUTEX_WAIT compares and sleeps in one */
end_asleep:
          !in_futex[me]
#else
end_asleep:
          fifo[me]
#endif
#ifndef FAULT_NO_LOOK_AFTER_FALLING_ASLEEP
       :: else
#endif
       fi;
       atomic { epoch[me] = (epoch[me] == prepared -> prepared + 1 : epoch[me]); prepared = 0 }
       fifo[me] = 0;
#ifndef FAULT_WOKEN_ONES_DO_NOT_PASS_ON
       do
       :: relay[me] & PASS_ON ->
          atomic { relay[me] = (relay[me] & ~PASS_ON) | PASSING }
          wake_some(me);
          relay[me] = relay[me] & ~PASSING
       :: !(relay[me] & PASS_ON) -> break
       od
#endif
    od
  } unless { killed[me] }
}

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
       :: i < SLEEPERS ->
          if
          :: IS_ODD(epoch[i]) && !retired[i] ->
             if
             :: own == SLEEPERS -> own = i
             :: else -> relay[i] = relay[i] | LEFT; left_some = 1
             fi
          :: else
          fi;
          i++
       :: else -> i = 0; break
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
       debt[me] = 0;
       d_step { own = SLEEPERS; left_some = 0; woken = 0; m++ }
    :: else -> break
    od
  } unless { killed[me] }
}

#ifdef FAULT_RECOVERY_FORGETS_THE_RELAY
#define owes_a_relay(d) false
#else
#define owes_a_relay(d) (relay[d] & (PASS_ON | PASSING))
#endif

/* Whoever recovers; if he dies, the next one begins anew. */
proctype recoverer() {
  LOCALS;
  byte d, i;
end_nobody_to_recover:
  do
  :: {
       do
       :: atomic { killed[0] && !retired[0] -> d = 0; break }
       :: atomic { killed[1] && !retired[1] -> d = 1; break }
#if SLEEPERS + PUBLISHERS > 2
       :: atomic { killed[2] && !retired[2] -> d = 2; break }
#endif
#if SLEEPERS + PUBLISHERS > 3
       :: atomic { killed[3] && !retired[3] -> d = 3; break }
#endif
       od;
       if
       :: debt[d] || owes_a_relay(d) ->
          do
          :: i < SLEEPERS ->
             if
             :: !retired[i] ->
                e = epoch[i];
#ifdef THREADS
                if
                :: IS_ODD(e) -> end_epoch(i)
                :: else
                fi;
#ifdef FAULT_RECOVERY_LEAVES_WHO_LOOKS_AWAKE
                if
                :: IS_ODD(e) -> ring(i)
                :: else
                fi
#else
                ring(i)
#endif
#else
                if
                :: IS_ODD(e) -> ring(i); end_epoch(i)
                :: else
                fi
#endif
             :: else
             fi;
             i++
          :: else -> break
          od
       :: else
       fi;
       debt[d] = 0;
       relay[d] = 0;
       retired[d] = 1;
       d_step { d = 0; i = 0; e = 0; woken = 0 }
     } unless { killed[RECOVERER] };
     d_step { killed[RECOVERER] = 0; d = 0; i = 0; e = 0; woken = 0 }
  od
}
proctype killer() {
  byte victim;
end_enough:
  do
  :: kills < DEATHS ->
     atomic {
#ifdef VICTIM
       victim = VICTIM;
#else
       victim = 0;
       do
       :: victim < CONTEXTS -> victim++
       :: break
       od;
#endif
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
  d_step {
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
