/* SPDX-License-Identifier: MIT
 * ring.pml: a channel's ring, with a publisher's death possible at any step.
 *
 *   here               in the code
 *   publisher          channels/ring.cc: RingWriter::publish(), first_kept(); the lock and its recovery are those of lock.pml
 *   reader             channels/ring.cc: RingReader::peek(), copy(), advance(), whole()
 *   skip_to_oldest     channels/ring.cc: RingReader::skip_to_oldest()
 *
 * The ring has room for CAPACITY units, a message takes one or two (at most half the ring), and each of its units says which
 * message it is of. Publishers follow each other, for they hold the shard's lock: here they are the lives of one process, the
 * next of which begins when the one before it is dead and recovered. Everybody must receive what was written, or be told
 * how much he lost: delivered + lost == published.
 *
 * Not here: memory orders (memory_order.cc), growth and the epoch of the shard's rings, `pending` (channels/outbox.h).
 */

#ifndef MESSAGES
#define MESSAGES 4
#endif
#ifndef DEATHS
#define DEATHS 2
#endif

#define CAPACITY 4

byte next = 1, oldest = 0, begin[4];
byte unit_of[CAPACITY], unit_size[CAPACITY];

bit killed, ended;
#ifdef FAULT_OLDEST_GOES_BACK
byte oldest_of_the_last_whole_publish;
#endif

inline store_bytes() {
  u = 0;
  do
  :: u < size -> d_step { unit_of[(position + u) % CAPACITY] = sequence; unit_size[(position + u) % CAPACITY] = size; u++ }
  :: else -> u = 0; break
  od
}

inline store_oldest() {
  d_step { assert(kept >= oldest); oldest = kept }
}

proctype publisher() {
  byte sequence, position, size, kept, u;
again:
  {
    do
    :: next > MESSAGES -> break
    :: next <= MESSAGES ->
       sequence = next;
       position = begin[sequence % 4];
       if
       :: size = 1
       :: size = 2
       fi;
#ifdef FAULT_OLDEST_GOES_BACK
       kept = oldest_of_the_last_whole_publish;
#else
       kept = oldest;
#endif
       do
       :: kept < position && position + size - kept > CAPACITY -> kept = kept + unit_size[kept % CAPACITY]
       :: else -> break
       od;
#ifdef FAULT_BYTES_BEFORE_OLDEST
       store_bytes();
       store_oldest();
#else
#ifdef FAULT_OLDEST_GOES_BACK
       oldest = kept;
#else
       store_oldest();
#endif
#ifdef FAULT_NEXT_BEFORE_THE_BYTES
       begin[(sequence + 1) % 4] = position + size;
       next = sequence + 1;
#endif
       store_bytes();
#endif
#ifdef FAULT_NEXT_BEFORE_BEGIN
       next = sequence + 1;
#endif
       begin[(sequence + 1) % 4] = position + size;
#ifdef FAULT_OLDEST_GOES_BACK
       atomic { next = sequence + 1; oldest_of_the_last_whole_publish = oldest }
#else
       next = sequence + 1;
#endif
       d_step { sequence = 0; position = 0; size = 0; kept = 0 }
    od;
    ended = 1
  } unless { killed };
  if
  :: atomic { killed && !ended -> killed = 0; sequence = 0; position = 0; size = 0; kept = 0; u = 0; goto again }
  :: else
  fi
}

inline copy() {
  u = 0;
  do
  :: u < header_size -> copied[u] = unit_of[(cursor_position + u) % CAPACITY]; u++
  :: else -> break
  od;
  if
#ifdef FAULT_READER_DOES_NOT_LOOK_AGAIN
  :: true ->
#else
  :: oldest <= cursor_position ->
#endif
     d_step {
       assert(copied[0] == cursor_sequence && (header_size == 1 || copied[1] == cursor_sequence));
       delivered++;
       cursor_sequence++;
       cursor_position = cursor_position + header_size
     }
#ifndef FAULT_READER_DOES_NOT_LOOK_AGAIN
  :: else /* peek again */
#endif
  fi;
  d_step { u = 0; copied[0] = 0; copied[1] = 0 }
}

inline skip_to_oldest() {
  published = next;
  d_step { target_sequence = published; target_position = begin[published % 4] }
  kept = oldest;
  if
  :: kept < target_position -> d_step { target_sequence = unit_of[kept % CAPACITY]; target_position = kept }
  :: else
  fi;
  if
  :: oldest <= target_position && next - published <= 2 && target_sequence > cursor_sequence ->
     d_step {
       lost = lost + target_sequence - cursor_sequence;
       cursor_sequence = target_sequence;
       cursor_position = target_position
     }
  :: else /* ask again */
  fi;
  d_step { target_sequence = 0; target_position = 0; kept = 0 }
}

proctype reader() {
  byte cursor_sequence = 1, cursor_position, published, header_of, header_size, u, copied[2];
  byte target_sequence, target_position, kept, delivered, lost;
  do
  :: published = next;
     if
     :: published <= cursor_sequence && cursor_sequence > MESSAGES -> break
     :: published <= cursor_sequence && cursor_sequence <= MESSAGES -> next > cursor_sequence
     :: published > cursor_sequence ->
        if
        :: oldest <= cursor_position ->
           d_step {
             header_of = unit_of[cursor_position % CAPACITY];
             header_size = unit_size[cursor_position % CAPACITY]
           }
           if
           :: header_of == cursor_sequence && header_size <= CAPACITY / 2 && oldest <= cursor_position -> copy()
           :: else -> skip_to_oldest()
           fi
        :: else -> skip_to_oldest()
        fi
     fi;
     d_step { published = 0; header_of = 0; header_size = 0 }
  od;
  assert(delivered + lost == next - 1)
}

proctype killer() {
  byte kills;
  do
  :: atomic { kills < DEATHS && !killed && !ended -> killed = 1; kills++ }
  :: break
  od
}

init {
  atomic {
    run publisher();
    run reader();
    run killer()
  }
}
