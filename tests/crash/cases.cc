// SPDX-License-Identifier: MIT
#include "crash/cases.h"

#include <sstream>

namespace shoal::crash {

namespace {

// clang-format off
const std::vector<Case> kCases = {
    // Strings: what a key may hold before, and how the value lies
    {"SET a key into an empty segment", "", "SET a 1"},
    {"SET the first thing a thread ever writes", "!renew", "SET a 1"},
    {"SET in place", "SET a 1", "SET a 2"},
    {"SET in place, another length", "SET a 12345678", "SET a 1"},
    {"SET a value that outgrows its block", "SET a 1", "SET a ~100"},
    {"SET over a list", "RPUSH a 1 2 3", "SET a 1"},
    {"SET with an expiry", "SET a 1", "SET a 2 PX 10000000"},
    {"SET takes an expiry away", "SET a 1 PX 10000000", "SET a 2"},
    {"SET keeps an expiry", "SET a 1 PX 10000000", "SET a ~200 KEEPTTL"},
    {"SET over an expired key", "SET a 1 PX 1; !clock 5000", "SET a 2"},
    {"SET a blob", "", "SET a ~9000"},
    {"SET a blob of several pieces", "", "SET a ~150000"},
    {"SET over a blob", "SET a ~9000", "SET a ~5000y"},
    {"SET over a blob that is freed lazily", "SET a ~700000", "SET a 1"},
    {"SET while others are freed lazily", "SET a ~700000; DEL a; SET b ~600000; DEL b", "SET a 1"},
    {"SET that takes a freed block of its class", "@20 SET k# ~40; DEL k3; DEL k7; DEL k12", "SET n ~40"},
    {"SET that opens a page", "@100 SET k# ~40", "SET k100 ~700"},
    {"SET that makes the segment grow", "SET a ~1000000", "SET b ~30000"},
    {"SET that splits a bucket", "@4 SET k# v", "@8 SET n# v"},
    {"SET that doubles the table", "@22 SET k# v", "@3 SET n# v"},
    {"SET that needs an overflow bucket", "@40 SET k# v", "@9 SET n# v"},
    {"SET by the typed client", "SET a 1", "!set a 2"},
    {"SET by the typed client, many words", "SET a ~250", "!set a ~250y"},
    {"SET by the typed client, another length", "SET a 12345678", "!set a 1"},
    {"SET by the typed client of a missing key", "SET b 1", "!set a 1"},
    {"SET by the typed client, its thread's first write", "SET a 1; !renew", "!set a 2"},
    {"SET by the typed client over a list", "RPUSH a 1 2 3", "!set a 1"},
    {"SET by the typed client while others are freed lazily", "SET a 1; SET b ~600000; DEL b", "!set a 2"},
    {"SETNX of a missing key", "SET a 1", "SETNX b 1"},
    {"SETNX over an expired key", "SET a 1 PX 1; !clock 5000", "SETNX a 2"},
    {"SETEX", "SET a 1", "SETEX a 1000 2"},
    {"PSETEX", "SET a ~100", "PSETEX a 1000000 ~1000"},
    {"GETSET", "SET a 1", "GETSET a ~64"},
    {"GETDEL", "SET a 1", "GETDEL a"},
    {"GETDEL of the last key of a page", "SET a ~900; @12 SET k# ~900; DEL k0 k1 k2 k3 k4 k5 k6 k7", "GETDEL a"},
    {"GETEX with an expiry", "SET a 1", "GETEX a PX 10000000"},
    {"GETEX PERSIST", "SET a 1 PX 10000000", "GETEX a PERSIST"},
    {"APPEND to a missing key", "", "APPEND a ~30"},
    {"APPEND in place", "SET a ~20", "APPEND a y"},
    {"APPEND that moves the entry", "SET a ~20", "APPEND a ~90y"},
    {"APPEND that makes a blob", "SET a ~1500", "APPEND a ~1500y"},
    {"APPEND of nothing", "SET a ~20", "APPEND a ''"},
    {"APPEND to a blob, into its last piece and a new one", "SET a ~65000", "APPEND a ~3000y"},
    {"APPEND to a blob, into a new piece with room for more", "SET a ~4080", "APPEND a y"},
    {"SETRANGE in place", "SET a ~50", "SETRANGE a 10 zzz"},
    {"SETRANGE behind the end", "SET a 1", "SETRANGE a 100 zzz"},
    {"SETRANGE in a blob", "SET a ~9000", "SETRANGE a 10 zzz"},
    {"INCR of a missing key", "", "INCR a"},
    {"INCR", "SET a 99", "INCR a"},
    {"DECR", "SET a 100", "DECR a"},
    {"INCRBY", "SET a 1", "INCRBY a 1000000"},
    {"DECRBY", "SET a 1", "DECRBY a 10"},
    {"INCRBYFLOAT", "SET a 1.5", "INCRBYFLOAT a 2.25"},
    {"INCR of what is no number", "SET a x", "INCR a", kNoTrace},
    {"MSET in several shards", "SET a 1; SET c ~90", "MSET a 2 b ~40 c ~300 d 4 e 5 f 6"},
    {"MSET of blobs in several shards", "SET c ~5000", "MSET a ~5000 b ~5000 c ~9000 d ~5000"},
    {"MSETNX in several shards", "", "MSETNX a 1 b 2 c 3 d 4"},
    {"MSETNX that does nothing", "SET c 3", "MSETNX a 1 b 2 c 3 d 4", kNoTrace},

    {"SETBIT in place", "SET a xyz", "SETBIT a 0 1"},
    {"SETBIT behind the end", "SET a 1", "SETBIT a 100 1"},
    {"SETBIT in a blob", "SET a ~9000", "SETBIT a 96 1"},
    {"BITFIELD", "SET a 1", "BITFIELD a SET u8 0 255 INCRBY u16 #3 5"},
    {"BITOP of a blob into itself", "SET a ~9000; SET b xyz", "BITOP XOR a a b"},
    {"BITOP that removes its target", "SET c 1", "BITOP AND c a b"},

    // Keys of any type
    {"SET of a long key", "", "SET ~70000 1"},
    {"RENAME of a long key", "SET ~70000 1 PX 10000000", "RENAME ~70000 ~80000"},
    {"EXPIRE that moves the entry of a long key", "SET ~70000 1", "EXPIRE ~70000 1000"},
    {"COPY of a string with an expiry", "SET a ~100 PX 10000000", "COPY a b"},
    {"COPY of a blob over a blob of another database", "SET a ~9000; SELECT 3; SET b ~5000; SELECT 0", "COPY a b DB 3 REPLACE"},
    {"COPY of a list", "RPUSH a 1 ~3000 2", "COPY a b"},
    {"COPY of a hash", "HSET a f 1 g ~3000", "COPY a b"},
    {"COPY of a set", "SADD a x y z", "COPY a b"},
    {"COPY of a sorted set", "ZADD a 1 x 2 y 3 z", "COPY a b"},
    {"SORT that stores over its source", "RPUSH a 3 1 2", "SORT a STORE a"},
    {"SORT that stores what keys of all shards say", "RPUSH a 1 2 3; MSET w1 9 w2 8 w3 7 v1 ~3000 v3 x; SADD d y",
     "SORT a BY w* GET v* STORE d"},
    {"SORT that removes its target", "SADD a 1; RPUSH d x ~3000", "SORT a LIMIT 1 1 STORE d"},
    {"SORT wakes a waiter", "SADD a 2 1; !sleep BLPOP b 0", "SORT a STORE b"},
    {"DEL a key", "SET a 1", "DEL a"},
    {"DEL several keys of several shards", "SET a 1; SET b ~90; SET c 3; SET d ~5000", "DEL a b c d e"},
    {"DEL a blob that was appended to", "SET a ~2100; @4 APPEND a ~700y", "DEL a"},
    {"DEL a blob that was appended to and is freed lazily", "SET a ~2100; @20 APPEND a ~700y", "DEL a"},
    {"DEL a blob that is freed lazily", "SET a ~700000", "DEL a"},
    {"DEL that releases a page", "SET a ~1000; SET b ~1000; SET c ~1000; @9 SET k# ~900", "DEL a b c k1 k2 k3 k4 k5 k6 k7 k8"},
    {"DEL with a journal of single pages",
     "@40 SET k# ~9; !fill 6", "DEL k0 k1 k2 k3 k4 k5 k6 k7 k8 k9 k10 k11 k12 k13 k14 k15 k16 k17 k18 k19 k20 k21 k22 k23 k24 k25 k26 k27"},
    {"EXEC that fails with a journal of single pages",
     "@40 SET k# ~9; SET s x; !fill 3; MULTI; @28 DEL k#; SET new ~900; SET newer ~900y; SET newest ~9000", "EXEC", kNoTrace},
    {"DEL that merges buckets", "@30 SET k# v; @22 DEL k#", "DEL k23 k24 k25 k26 k27"},
    {"DEL of an expired key", "SET a 1 PX 1; !clock 5000", "DEL a"},
    {"UNLINK", "SET a ~9000", "UNLINK a"},
    {"EXPIRE makes room for the time", "SET a 1", "EXPIRE a 1000"},
    {"EXPIRE in the past", "SET a 1", "EXPIRE a -1"},
    {"PEXPIRE of a key with a time", "SET a 1 PX 100000", "PEXPIRE a 10000000"},
    {"EXPIREAT", "SET a ~50", "EXPIREAT a 99999999999"},
    {"PEXPIREAT", "SET a ~50", "PEXPIREAT a 99999999999999"},
    {"PERSIST", "SET a 1 PX 10000000", "PERSIST a"},
    {"RENAME between shards", "SET a 1", "RENAME a b"},
    {"RENAME over another key", "SET a 1; SET b ~400", "RENAME a b"},
    {"RENAME over a value freed lazily", "SET a 1 PX 9000000; SET b ~700000", "RENAME a b"},
    {"RENAME of a list to another shard", "RPUSH a 1 2 3; SET b 1", "RENAME a b"},
    {"DEL of a value whose blocks are another shard's", "RPUSH a 1 2 3 ~300 ~300; RENAME a b; RPUSH c 1; RENAME c d", "DEL b d"},
    {"LPOP of what came from another shard", "RPUSH a ~600; LMOVE a b LEFT LEFT", "LPOP b"},
    {"LPOP of what came from a shard that is not to be had", "RPUSH a ~600; LMOVE a b LEFT LEFT; !suspect a", "LPOP b"},
    {"LPOP that takes others home", "@4 RPUSH a ~600; @4 LMOVE a b LEFT LEFT; !suspect a; @3 LPOP b; !pardon a", "LPOP b"},
    {"RPUSH that finds room in foreign blocks",
     "@20 RPUSH a ~600; @20 LMOVE a b LEFT LEFT; !suspect a; @20 LPOP b; !pardon a; !fill 0",
     "RPUSH a ~600 ~600y ~601 ~601y ~602 ~602y ~603 ~603y"},
    {"SET into a foreign block",
     "@8 RPUSH l# ~300; @8 RENAME l# m#; !suspect a; !suspect b; @8 DEL m#; !pardon a; !pardon b", "@8 SET n# ~470"},
    {"RENAMENX", "SET a 1", "RENAMENX a b"},
    {"MOVE", "SET a 1", "MOVE a 3"},
    {"FLUSHALL", "SET a 1; SET b 2; SET c 3; SELECT 1; SET d 4; SELECT 0", "FLUSHALL"},
    {"FLUSHALL of two databases", "@9 SET k# ~30 PX 10000000; SELECT 1; @9 SET k# ~30; SELECT 0", "FLUSHALL"},
    {"FLUSHALL of tiny keys, in a block of whoever has one", "@20 SET k# v; SELECT 1; @20 SET k# v; SELECT 0; !fill 3", "FLUSHALL"},
    {"FLUSHALL of lists and blobs", "RPUSH a 1 ~90; RPUSH b 1 ~3000; SET c ~9000; SET d ~700000; SADD e x", "FLUSHALL"},
    {"FLUSHDB in a full segment", "@20 SET k# ~30; !fill 3", "FLUSHDB"},
    {"FLUSHDB of one of two databases", "@9 SET k# v; SELECT 1; @9 SET k# v; SELECT 0", "FLUSHDB"},
    {"FLUSHDB of a whole dict", "@20 SET k# v", "FLUSHDB"},
    {"Freeing of one of two databases", "@9 SET k# ~50; SET a ~9000; SELECT 1; @9 SET k# v; SELECT 0; FLUSHDB", "SET a 1; SET b 1"},
    {"Freeing of a flushed database", "@20 SET k# ~50; SET a ~700000; FLUSHDB", "SET a 1"},

    // Several commands as one
    {"EXEC", "SET a 1; SET b 2; MULTI; SET a 10; INCR b; DEL c; SET d ~50", "EXEC"},
    {"EXEC that frees and takes blocks of one class", "@10 SET k# ~40; MULTI; DEL k1; SET n1 ~40; DEL k2; SET n2 ~40; DEL n1", "EXEC"},
    {"EXEC with a command that fails behind its edits", "SET a 1; SET s x; MULTI; SET b ~700; INCR s; SET c ~900", "EXEC"},
    {"EXEC with a command that fails behind its frees",
     "RPUSH l 1 2; PEXPIRE l 1; SET s x; !clock 5000; MULTI; SET b ~700; LMPOP 2 l s LEFT; SET c ~900", "EXEC"},
    {"EXEC under a WATCH that fires", "SET a 1; WATCH a; SET a 2; MULTI; SET b 1", "EXEC", kNoTrace},
    {"EXEC with a journal of several chunks", "SET a ~2000; MULTI; @24 SET k# ~30; SET a ~1900y; SETRANGE a 0 ~1900z; SETRANGE a 0 ~1900w", "EXEC"},
    {"EXEC whose frees end at the end of a chunk", "@40 SET k# ~9; MULTI; @40 DEL k#", "EXEC"},

    // Lists
    {"RPUSH a new list", "", "RPUSH a 1"},
    {"RPUSH into the last node", "RPUSH a 1 2 3", "RPUSH a 4"},
    {"RPUSH that enlarges a node", "RPUSH a ~40", "RPUSH a ~60"},
    {"RPUSH that adds a node", "@8 RPUSH a ~240", "RPUSH a ~240"},
    {"LPUSH several, one a blob", "RPUSH a 1", "LPUSH a 0 ~3000 x"},
    {"LPUSHX", "RPUSH a 1", "LPUSHX a 0"},
    {"RPUSHX", "RPUSH a 1", "RPUSHX a 2"},
    {"LPUSH over an expired list", "RPUSH a 1; PEXPIRE a 1; !clock 5000", "LPUSH a 2"},
    {"LPOP", "RPUSH a 1 2 3", "LPOP a"},
    {"RPOP of the last element", "RPUSH a 1", "RPOP a"},
    {"LPOP several with a blob", "RPUSH a 1 ~3000 3 4", "LPOP a 3"},
    {"LMPOP", "RPUSH a 1 2 3", "LMPOP 2 b a LEFT COUNT 2"},
    {"LINSERT that splits a node", "@8 RPUSH a ~240", "LINSERT a BEFORE ~240 new"},
    {"LSET another length", "RPUSH a 1 2 3", "LSET a 1 ~90"},
    {"LSET a blob", "RPUSH a 1 ~3000 3", "LSET a 1 ~2500y"},
    {"LREM", "RPUSH a 1 2 1 3 1", "LREM a 2 1"},
    {"LTRIM", "@12 RPUSH a ~240", "LTRIM a 3 5"},
    {"LMOVE between shards", "RPUSH a 1 2; RPUSH b 3", "LMOVE a b LEFT RIGHT"},
    {"RPOPLPUSH of a blob to a new list", "RPUSH a ~3000", "RPOPLPUSH a b"},
    {"BLPOP that finds something", "RPUSH a 1 2", "BLPOP b a 1"},
    {"BRPOP", "RPUSH a 1 2", "BRPOP a 1"},
    {"BLMPOP", "RPUSH a 1 2", "BLMPOP 1 1 a LEFT"},
    {"BLMOVE", "RPUSH a 1 2", "BLMOVE a b LEFT LEFT 1"},
    {"BRPOPLPUSH", "RPUSH a 1 2", "BRPOPLPUSH a b 1"},
    {"RPUSH wakes a waiter", "!sleep BLPOP a 0", "RPUSH a 1"},
    {"RPUSH wakes two of three waiters", "!sleep BLPOP a b 0; !sleep BLMOVE a c LEFT LEFT 0; !sleep BLPOP a 0", "RPUSH a 1 2"},
    {"LMOVE wakes a waiter of another shard", "RPUSH a 1; !sleep BLPOP b 0", "LMOVE a b LEFT LEFT"},
    {"EXEC wakes waiters of several keys", "!sleep BLPOP a 0; !sleep BZPOPMIN b 0; MULTI; RPUSH a 1; ZADD b 1 x", "EXEC"},
    {"DEL of a list that is freed lazily", "@100 RPUSH a ~240", "DEL a"},
    {"Freeing of a list", "@100 RPUSH a ~240; DEL a", "SET a 1; SET b 1"},

    // Hashes
    {"HSET a new hash", "", "HSET h f 1 g 2"},
    {"HSET over a value in place", "HSET h f 1", "HSET h f 2"},
    {"HSET a longer value and a new field", "HSET h f 1", "HSET h f ~90 g 2"},
    {"HSET a blob over a blob", "HSET h f ~3000", "HSET h f ~2500y"},
    {"HSET that splits a bucket", "@6 HSET h f# v; @6 HSET h g# v", "HSET h n v"},
    {"HMSET", "HSET h f 1", "HMSET h f 2 g ~40"},
    {"HSETNX", "HSET h f 1", "HSETNX h g 2"},
    {"HDEL", "HSET h f 1 g ~3000 i 3", "HDEL h f g"},
    {"HDEL of the last field", "HSET h f 1", "HDEL h f"},
    {"HINCRBY", "HSET h f 9", "HINCRBY h f 1"},
    {"HINCRBYFLOAT", "HSET h f 1.5", "HINCRBYFLOAT h f 1.125"},
    {"DEL of a hash that is freed lazily", "@60 HSET h f# ~30", "DEL h"},
    {"Freeing of a hash", "@60 HSET h f# ~30; DEL h; @60 HSET i f# ~30; DEL i", "@2 SET a# 1"},

    // Sets
    {"SADD", "SADD s a b", "SADD s c b d"},
    {"SADD a new set", "", "SADD s a"},
    {"SREM", "SADD s a b c", "SREM s a c"},
    {"SREM of the last member", "SADD s a", "SREM s a"},
    {"SPOP", "SADD s a b c", "SPOP s"},
    {"SMOVE between shards", "SADD s a b; SADD t x; SADD u y", "SMOVE s t a"},
    {"SUNIONSTORE", "SADD s a b; SADD t b c; SET d 1", "SUNIONSTORE d s t"},
    {"SINTERSTORE", "SADD s a b; SADD t b c", "SINTERSTORE d s t"},
    {"SDIFFSTORE over one of its sources", "SADD s a b c; SADD t b", "SDIFFSTORE s s t"},

    // Sorted sets
    {"ZADD a new sorted set", "", "ZADD z 1 a"},
    {"ZADD several levels", "ZADD z 1 a 2 b 3 c", "ZADD z 1.5 m 2.5 n 9 o 0 p"},
    {"ZADD moves a member", "ZADD z 1 a 2 b 3 c", "ZADD z 9 a"},
    {"ZADD changes a score in place", "ZADD z 1 a 2 b 3 c", "ZADD z 2.5 b"},
    {"ZINCRBY", "ZADD z 1 a 2 b", "ZINCRBY z 5 a"},
    {"ZREM", "ZADD z 1 a 2 b 3 c", "ZREM z b"},
    {"ZREM of the last member", "ZADD z 1 a", "ZREM z a"},
    {"ZPOPMIN", "ZADD z 1 a 2 b 3 c", "ZPOPMIN z 2"},
    {"ZPOPMAX", "ZADD z 1 a 2 b 3 c", "ZPOPMAX z"},
    {"ZMPOP", "ZADD z 1 a 2 b 3 c", "ZMPOP 2 y z MIN COUNT 2"},
    {"BZPOPMIN", "ZADD z 1 a 2 b", "BZPOPMIN y z 1"},
    {"BZPOPMAX", "ZADD z 1 a 2 b", "BZPOPMAX z 1"},
    {"BZMPOP", "ZADD z 1 a 2 b", "BZMPOP 1 1 z MAX"},
    {"ZADD wakes a waiter", "!sleep BZPOPMAX z 0", "ZADD z 1 a"},
    {"ZREMRANGEBYRANK", "@20 ZADD z # m#", "ZREMRANGEBYRANK z 3 7"},
    {"ZREMRANGEBYSCORE", "@20 ZADD z # m#", "ZREMRANGEBYSCORE z 3 7"},
    {"ZREMRANGEBYLEX", "ZADD z 0 a 0 b 0 c", "ZREMRANGEBYLEX z [b (c"},
    {"ZUNIONSTORE", "ZADD y 1 a 2 b; ZADD z 3 b 4 c; SET d 1", "ZUNIONSTORE d 2 y z"},
    {"ZINTERSTORE", "ZADD y 1 a 2 b; ZADD z 3 b 4 c", "ZINTERSTORE d 2 y z"},
    {"ZDIFFSTORE", "ZADD y 1 a 2 b; ZADD z 3 b 4 c", "ZDIFFSTORE d 2 y z"},
    {"ZRANGESTORE", "ZADD y 1 a 2 b 3 c", "ZRANGESTORE d y 1 2"},
    {"RENAME of a sorted set between shards", "ZADD a 1 x 2 y; ZADD c 1 x", "RENAME a b"},

    // Task queues: each operation is one transaction
    {"A queue is declared", "SET a 1", "!q declare q max 3"},
    {"A push makes a queue", "SET a 1", "!q push q data"},
    {"A push behind others", "!q push q 1; !q push q 2 3", "!q push q 3 3"},
    {"A push larger than a page", "!q push q 1", "!q push q ~9000"},
    {"A push drops the head", "!q declare q max 2; !q push q 1; !q push q 2", "!q push q 3"},
    {"A push is delayed", "!q push q 1; !q push q 2 0 50000; !q push q 3 0 90000", "!q push q 4 0 70000"},
    {"A push wakes a sleeper", "!q a add q; !q b add q; !q a listen; !q b listen", "!q push q 1"},
    {"A push wakes a process that sleeps", "!q x add q; !q x listen; !q x sleep", "!q push q 1"},
    {"A consumer joins", "!q push q 1; !q a add q", "!q b add q"},
    {"A task is leased", "!q a add q; !q push q 1; !q push q 2", "!q a take"},
    {"A task is taken without a lease", "!q push q 1; !q push q ~5000", "!q a get q; !q a get q"},
    {"Leases of several tasks",
     "!q a add q; !q push q 1; !q push q 2 4; !q push q 3; !q push q 4; !q a take; !q a take; !q a take",
     "!q a take"},
    {"A task comes due",
     "!q a add q; !q push q 1 0 1000; !q push q 2 0 2000; !q push q 3 0 90000; !clock 5000",
     "!q a take"},
    {"A task is acknowledged", "!q a add q; !q push q 1; !q push q 2; !q a take; !q a take", "!q a ack 1; !q a ack 2"},
    {"A task is given back", "!q a add q; !q push q 1; !q push q 2; !q push q 3; !q a take; !q a take; !q a take",
     "!q a requeue 2; !q a requeue 1; !q a requeue 3"},
    {"A task is dropped", "!q a add q; !q push q ~5000; !q a take", "!q a drop 1"},
    {"A returned task is leased again",
     "!q a add q; !q push q 1; !q push q 2; !q a take; !q a take; !q a requeue 1; !q a requeue 2",
     "!q a take"},
    {"A task begins in its own process", "!q a add q; !q push q 1; !q a take", "!q a start 1; !q a finish 1 ack"},
    {"A task begins in a child", "!q a add q; !q push q 1; !q push q 2; !q a take; !q a take",
     "!q x start 1; !q x start 2; !q x finish 1 ack; !q a ack 1"},
    {"An owner dies whose child lives", "!q x add q; !q push q 1; !q x take; !q y start 1", "!q x reap"},
    {"A child ends its lease alone",
     "!q x add q; !q push q 1; !q x take; !q y start 1; !q x reap",
     "!q y finish 1 ack"},
    {"An owner dies who had ended", "!q x add q; !q push q 1; !q x take; !q y start 1; !q y finish 1 ack", "!q x reap"},
    {"An owner dies with much",
     "!q b add q; !q x add q; !q push q 1; !q push q 2; !q push q 3; !q x take; !q x take; !q b listen",
     "!q x reap"},
    {"An owner dies and a process that sleeps is woken",
     "!q x add q; !q push q 1; !q x take; !q y add q; !q y listen; !q y sleep",
     "!q x reap"},
    {"A child dies alone with its lease", "!q x add q; !q push q 1; !q x take; !q y start 1; !q x reap", "!q y reap"},
    {"A poison task dies",
     "!q a add q; !q push q 1; !q a take; !q a start 1; !q a requeue 1; !q a take; !q a start 2; !q a requeue 2; "
     "!q a take; !q a start 3",
     "!q a requeue 3; !q revive q"},
    {"A consumer sleeps and goes on",
     "!q b add q; !q b listen; !q a add q",
     "!q a listen; !q b unlisten; !q a unlisten"},
    {"A turn is passed on", "!q a add q; !q b add q; !q a listen; !q b listen; !q push q 1", "!q a unlisten"},
    {"A consumer leaves", "!q a add q; !q b add q; !q a listen; !q b listen", "!q a leave q"},
    {"A consumer closes with leases", "!q a add q; !q push q 1; !q push q 2; !q a take; !q a take", "!q a close"},
    {"A mailbox goes with its consumer",
     "!q declare q mail; !q a add q; !q push q 1; !q push q 2 0 5000; !q a take",
     "!q a close"},
    {"A mailbox goes with its process",
     "!q declare q mail; !q x add q; !q push q 1; !q push q 2; !q x take",
     "!q x reap"},
    {"A queue is purged",
     "!q a add q; !q push q 1; !q push q 2 5; !q push q 3 0 9000; !q push q ~5000; !q a take",
     "!q purge q"},
    {"A queue is removed",
     "!q a add q; !q b add q; !q push q 1; !q push q 2; !q push q 3; !q a take; !q b listen",
     "!q remove q"},
    {"An exchange is bound", "!q declare q; !q declare r", "!q bind x key q; !q bind x key r; !q bind x key q"},
    {"An exchange is unbound", "!q bind x k q; !q bind x k r", "!q unbind x k q; !q unbind x k r"},
    {"A fanout reaches all its queues",
     "!q bind x k q; !q bind x k r; !q bind x k s; !q push r 1; !q declare t max 1; !q push t 2; !q bind x k t; "
     "!q a add q; !q b add s; !q a listen; !q b listen",
     "!q route x ~600"},
    {"A binding without a queue is forgotten", "!q bind x k q; !q remove q", "!q route x data"},

    // Channels
    {"A channel is to keep a history", "SET a 1", "!c keep room 5"},
    {"A channel is to keep no history any more", "!c keep room 5; PUBLISH room one", "!c keep room 0"},
    {"A channel gets its first subscriber", "SET a 1", "!c subscribe room"},
    {"A channel loses its last subscriber", "!c subscribe room; PUBLISH room one", "!c unsubscribe room"},
    {"A pattern gets its first subscriber", "!c keep room 5", "!c psubscribe r*"},
    {"A pattern loses its last subscriber", "!c psubscribe r*; !c psubscribe s*; PUBLISH room one", "!c punsubscribe r*"},
    {"A subscriber of channels and patterns closes",
     "!c keep room 5; !c subscribe room; !c subscribe b; !c subscribe c; !c psubscribe r*; !c psubscribe s*; PUBLISH room one",
     "!c close", kInParts},
    {"A channel is to keep a larger history", "!c keep room 5; @9 PUBLISH room x#", "!c keep room 50"},
    {"A channel with a history gets another subscriber", "!c keep room 5; PUBLISH room one", "!c subscribe room"},
    {"A channel with a history loses its subscriber", "!c keep room 5; !c subscribe room; PUBLISH room one",
     "!c unsubscribe room"},
    {"A pattern beside another and a channel of its name", "!c psubscribe r*; !c subscribe s*", "!c psubscribe s*"},
    {"A pattern from the middle of the list", "!c psubscribe r*; !c psubscribe s*; !c psubscribe t*; PUBLISH sea one",
     "!c punsubscribe s*"},
    {"PUBLISH makes the ring", "!c keep room 5", "PUBLISH room one"},
    {"PUBLISH into a ring", "!c keep room 5; !c subscribe room; PUBLISH room one", "PUBLISH room ~100"},
    {"PUBLISH to a channel and two patterns",
     "!c keep room 5; !c subscribe room; !c psubscribe r*; !c psubscribe *m", "PUBLISH room one"},
    {"PUBLISH that makes a ring grow", "!c keep room 60; @25 PUBLISH room ~120", "PUBLISH room ~2500"},
    {"PUBLISH that makes a ring grow under subscribers",
     "!c keep room 60; !c subscribe room; !c psubscribe r*; @25 PUBLISH room ~120", "PUBLISH room ~2500"},
    {"PUBLISH that makes a ring grow for its history", "!c keep room 60; @28 PUBLISH room ~120", "PUBLISH room ~120"},
    {"PUBLISH that pushes several out of a ring that cannot grow",
     "!c keep room 60; @28 PUBLISH room ~120", "PUBLISH room ~700"},
    {"A subscriber reads", "!c keep room 5; !c subscribe room; PUBLISH room one; PUBLISH room two", "!c read", kNoTrace},
    {"A subscriber reads behind a gap", "!c subscribe room; @40 PUBLISH room ~700", "!c read", kNoTrace},
    {"A subscriber reads in another thread", "!c keep room 5; !c subscribe room; !leave; PUBLISH room one", "!c read", kInParts | kNoTrace},
    {"A subscriber waits in vain", "!c subscribe room", "!c wait", kNoTrace},
    {"Subscriptions of a thread that is gone are reaped",
     "!c keep room 5; !c subscribe room; !c psubscribe r*; !c subscribe b; !leave", "!c reap", kInParts},
    {"EXEC with a PUBLISH to a history", "!c keep room 5; MULTI; PUBLISH room one; SET a 1", "EXEC"},
    {"EXEC with a PUBLISH to a subscriber",
     "!c keep room 5; !c subscribe room; PUBLISH room one; MULTI; SET a 1; PUBLISH room two", "EXEC"},
    {"EXEC with a PUBLISH to a subscriber of a pattern",
     "!c keep room 5; !c psubscribe r*; MULTI; PUBLISH room one; SET a 1", "EXEC"},
    {"EXEC with several messages to one channel",
     "!c keep room 5; !c subscribe room; MULTI; PUBLISH room one; PUBLISH room two; SET a 1; PUBLISH room ~900", "EXEC"},
    {"EXEC with messages to channels of several shards",
     "!c keep a 5; !c keep b 5; !c keep c 5; !c keep d 5; !c psubscribe *; MULTI; PUBLISH a 1; PUBLISH b 2; "
     "PUBLISH c 3; PUBLISH d 4; PUBLISH nobody 5; PUBLISH a 6",
     "EXEC"},
    {"EXEC with a PUBLISH that needs a larger ring",
     "!c keep room 60; !c subscribe room; @25 PUBLISH room ~120; MULTI; SET a 1; PUBLISH room ~2500; PUBLISH room x",
     "EXEC"},
    {"EXEC with a PUBLISH that nobody hears", "SET a 1; MULTI; PUBLISH room one; SET b 1", "EXEC"},
    {"EXEC with a PUBLISH before a command that fails",
     "!c keep room 5; SET s x; MULTI; PUBLISH room one; INCR s; PUBLISH room two", "EXEC"},

    // Threads and processes
    {"A thread leaves", "SET a 1", "!leave", kNoTrace},
    {"A thread leaves with several journal chunks", "SET a ~2000; MULTI; @9 SETRANGE a 0 ~1900; EXEC", "!leave", kNoTrace},
    {"A thread arrives", "SET a 1; !leave", "!arrive", kNoTrace},
    {"A thread arrives whose generation is at its end", "SET a 1; !leave; !wrap", "!arrive", kNoTrace},
    {"SET by a thread whose generation has wrapped", "SET a 1; !leave; !wrap; !arrive", "SET a ~90"},
    {"A process comes", "SET a 1", "!attach", kNoTrace},
    {"A process goes", "SET a 1; !attach", "!detach", kNoTrace},

    // Waiting
    {"BLPOP waits", "SET b 1", "BLPOP a 0"},
    {"BLPOP waits behind others", "!sleep BLPOP a 0; !sleep BLPOP c 0", "BLPOP a b c 0"},
    {"A waiter gives up", "!sleep BLPOP a 0; BLPOP a 0", "!cancel"},
    {"A waiter of several shards gives up", "BLPOP a b c d 0", "!cancel", kInParts},
    {"A waiter gives its turn to the next", "BLPOP a 0; !sleep BLPOP a 0; !other RPUSH a 1", "!cancel"},
    {"A dead waiter is reaped", "!sleep BLPOP a 0; !sleep BLPOP a 0", "!reap"},
    {"A dead waiter is reaped, whose turn goes to the next",
     "!sleep BLPOP a 0; !sleep BLPOP a 0; !other RPUSH a 1", "!reap"},

    // The daemon's own
    {"Keys expire", "@5 SET k# v PX 1; SET a 1; SET b ~9000 PX 1; RPUSH c 1 2 3; PEXPIRE c 1; !clock 5000", "!expire", kInParts},
    {"Nothing expires", "SET a 1 PX 100000; SET b 1", "!expire", kInParts | kNoTrace},
    {"What was removed is freed", "SET a ~700000; DEL a; @100 RPUSH b ~240; DEL b", "!free", kInParts | kNoTrace},
    {"A queue without use expires", "!q declare q expires 1; !q bind x k q; !q push r 1; !clock 5000", "!q expire", kInParts},
    {"A queue with tasks expires beside one in use",
     "!q declare q expires 1; !q push q ~5000; !q push q 1 5; !q push q 2 0 90000; @20 !q push q #; "
     "!q declare r expires 1; !q a add r; !q push r 1; !q a take; !clock 5000",
     "!q expire", kInParts},
    {"The segment grows", "SET a 1", "!grow", kNoTrace},
};

const std::vector<Case> kProcessCases = {
    {"A forked child writes", "SET a 1; !fork", "SET a ~90"},
    {"A forked child of a subscriber publishes", "!c keep room 5; !c subscribe room; !fork", "PUBLISH room one"},
    {"A forked child of a consumer takes a task", "!q a add q; !q push q 1; !fork", "!q b add q; !q b take"},
    {"A forked child waits", "SET a 1; !fork", "BLPOP b 0"},
    {"A dead process is reaped", "!dead SET a 1", "!sweep", kInParts | kNothingToReap},
    {"A dead process with journal chunks is reaped", "SET a ~2000; !dead MULTI & @9 SETRANGE a 0 ~1900 & EXEC", "!sweep", kInParts | kNothingToReap},
    {"A dead subscriber is reaped", "!c keep room 5; !dead !c subscribe room & !c psubscribe r*; PUBLISH room one", "!sweep", kInParts},
    {"A process that died waiting is reaped", "!dead BLPOP a b 0", "!sweep", kInParts},
    {"A process that died with its turn is reaped", "!dead BLPOP a 0 & !other RPUSH a 1", "!sweep", kInParts},
    {"A dead consumer is reaped", "!q push q 1; !q push q 2; !dead !q a add q & !q a take & !q a take", "!sweep", kInParts},
    {"A dead consumer of a mailbox is reaped", "!q declare q mail; !dead !q a add q & !q push q 1 & !q a take", "!sweep", kInParts},
    {"Several dead are reaped", "!dead SET a 1; !dead !c subscribe room; !q push q 1; !dead !q a add q & !q a take", "!sweep", kInParts},
};

// One of each command that only reads: it takes locks, and may die with them.
const char* const kReads[] = {
    "GET s", "GETRANGE s 1 3", "MGET s x nosuch b", "STRLEN s", "SUBSTR s 1 3", "BITCOUNT s",
    "BITFIELD_RO s GET u8 0", "BITPOS s 1", "GETBIT s 3", "LINDEX l 1", "LLEN l", "LPOS l c", "LRANGE l 0 -1",
    "HEXISTS h f", "HGET h f", "HGETALL h", "HKEYS h", "HLEN h", "HMGET h f nosuch", "HRANDFIELD h 2", "HSCAN h 0",
    "HSTRLEN h f", "HVALS h", "SCARD t", "SDIFF t u", "SINTER t u", "SINTERCARD 2 t u", "SISMEMBER t a", "SMEMBERS t",
    "SMISMEMBER t a q", "SRANDMEMBER t 2", "SSCAN t 0", "SUNION t u", "ZCARD z", "ZCOUNT z 1 2", "ZDIFF 2 z y",
    "ZINTER 2 z y", "ZINTERCARD 2 z y", "ZLEXCOUNT z - +", "ZMSCORE z a q", "ZRANDMEMBER z 2", "ZRANGE z 0 -1",
    "ZRANGEBYLEX z - +", "ZRANGEBYSCORE z 1 2", "ZRANK z b", "ZREVRANGE z 0 -1", "ZREVRANGEBYLEX z + -",
    "ZREVRANGEBYSCORE z 2 1", "ZREVRANK z b", "ZSCAN z 0", "ZSCORE z a", "ZUNION 2 z y", "DBSIZE",
    "EXISTS s x nosuch", "EXPIRETIME s", "KEYS *", "MEMORY USAGE h", "OBJECT ENCODING z", "OBJECT FREQ nosuch",
    "OBJECT IDLETIME nosuch", "OBJECT REFCOUNT s", "PEXPIRETIME s", "PTTL s", "RANDOMKEY", "SCAN 0",
    "SORT_RO l ALPHA", "TOUCH s l", "TTL s", "TYPE z", "WATCH s nosuch", "PUBSUB CHANNELS", "PUBSUB NUMPAT",
    "PUBSUB NUMSUB room",
};

const char kReadSetup[] =
    "SET s abcdef PX 10000000; RPUSH l a b c; HSET h f 1 g 2; SADD t a b c; SADD u b c; ZADD z 1 a 2 b 3 c; ZADD y 2 b; "
    "!c keep room 5; SET x 1 PX 1; !clock 5000";
// clang-format on

}  // namespace

const std::vector<Case>& read_cases() {
  static const std::vector<Case> made = [] {
    std::vector<Case> all;
    for (const char* line : kReads) all.push_back({line, kReadSetup, line});
    return all;
  }();
  return made;
}
const std::vector<Case>& cases() { return kCases; }
const std::vector<Case>& process_cases() { return kProcessCases; }

bool ends_at_random(const Case& of) { return std::string_view(of.operation).starts_with("SPOP"); }

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line, ';');) {
    const size_t begin = line.find_first_not_of(' ');
    if (begin != std::string::npos) lines.push_back(line.substr(begin, line.find_last_not_of(' ') + 1 - begin));
  }
  return lines;
}

std::vector<std::string> repeated(const std::string& line) {
  if (line[0] != '@') return {line};
  std::vector<std::string> lines;
  const size_t blank = line.find(' ');
  for (uint64_t i = 0; i < std::stoull(line.substr(1)); ++i) {
    std::string each = line.substr(blank + 1);
    for (size_t at = each.find('#'); at != std::string::npos; at = each.find('#'))
      each.replace(at, 1, std::to_string(i));
    lines.push_back(each);
  }
  return lines;
}

}  // namespace shoal::crash
