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
    {"SET that opens a page", "@64 SET k# ~40", "SET new ~40"},
    {"SET that splits a bucket", "@5 SET k# v; @6 SET m# v", "SET n v"},
    {"SET that doubles the table", "@22 SET k# v", "@3 SET n# v"},
    {"SET that needs an overflow bucket", "@40 SET k# v", "@9 SET n# v"},
    {"SETNX of a missing key", "SET a 1", "SETNX b 1"},
    {"SETNX over an expired key", "SET a 1 PX 1; !clock 5000", "SETNX a 2"},
    {"SETEX", "SET a 1", "SETEX a 1000 2"},
    {"PSETEX", "SET a ~100", "PSETEX a 1000000 ~1000"},
    {"GETSET", "SET a 1", "GETSET a ~64"},
    {"GETDEL", "SET a 1", "GETDEL a"},
    {"GETDEL of the last key of a page", "SET a ~1000", "GETDEL a"},
    {"GETEX with an expiry", "SET a 1", "GETEX a PX 10000000"},
    {"GETEX PERSIST", "SET a 1 PX 10000000", "GETEX a PERSIST"},
    {"APPEND to a missing key", "", "APPEND a ~30"},
    {"APPEND in place", "SET a ~20", "APPEND a y"},
    {"APPEND that moves the entry", "SET a ~20", "APPEND a ~90y"},
    {"APPEND that makes a blob", "SET a ~1500", "APPEND a ~1500y"},
    {"APPEND to a blob, into its last piece and a new one", "SET a ~65000", "APPEND a ~3000y"},
    {"SETRANGE in place", "SET a ~50", "SETRANGE a 10 zzz"},
    {"SETRANGE behind the end", "SET a 1", "SETRANGE a 100 zzz"},
    {"SETRANGE in a blob", "SET a ~9000", "SETRANGE a 10 zzz"},
    {"INCR of a missing key", "", "INCR a"},
    {"INCR", "SET a 99", "INCR a"},
    {"DECR", "SET a 100", "DECR a"},
    {"INCRBY", "SET a 1", "INCRBY a 1000000"},
    {"DECRBY", "SET a 1", "DECRBY a 10"},
    {"INCRBYFLOAT", "SET a 1.5", "INCRBYFLOAT a 2.25"},
    {"INCR of what is no number", "SET a x", "INCR a"},
    {"MSET in several shards", "SET a 1; SET c ~90", "MSET a 2 b ~40 c ~300 d 4 e 5 f 6"},
    {"MSETNX in several shards", "", "MSETNX a 1 b 2 c 3 d 4"},
    {"MSETNX that does nothing", "SET c 3", "MSETNX a 1 b 2 c 3 d 4"},

    // Keys of any type
    {"DEL a key", "SET a 1", "DEL a"},
    {"DEL several keys of several shards", "SET a 1; SET b ~90; SET c 3; SET d ~5000", "DEL a b c d e"},
    {"DEL a blob that is freed lazily", "SET a ~700000", "DEL a"},
    {"DEL that releases a page", "SET a ~1000; SET b ~1000; SET c ~1000; @9 SET k# ~900", "DEL a b c k1 k2 k3 k4 k5 k6 k7 k8"},
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
    {"SET into a foreign block", "@8 RPUSH l# ~300; @8 RENAME l# m#; @8 DEL m#", "@8 SET n# ~300"},
    {"RENAMENX", "SET a 1", "RENAMENX a b"},
    {"MOVE", "SET a 1", "MOVE a 3"},
    {"FLUSHALL", "SET a 1; SET b 2; SET c 3; SELECT 1; SET d 4; SELECT 0", "FLUSHALL"},
    {"FLUSHDB of one of two databases", "@9 SET k# v; SELECT 1; @9 SET k# v; SELECT 0", "FLUSHDB"},
    {"FLUSHDB of a whole dict", "@20 SET k# v", "FLUSHDB"},
    {"Freeing of a flushed database", "@20 SET k# ~50; SET a ~700000; FLUSHDB", "SET a 1"},

    // Several commands as one
    {"EXEC", "SET a 1; SET b 2; MULTI; SET a 10; INCR b; DEL c; SET d ~50", "EXEC"},
    {"EXEC that frees and takes blocks of one class", "@10 SET k# ~40; MULTI; DEL k1; SET n1 ~40; DEL k2; SET n2 ~40; DEL n1", "EXEC"},
    {"EXEC with a command that fails behind its edits", "SET a 1; SET s x; MULTI; SET b ~700; INCR s; SET c ~900", "EXEC"},
    {"EXEC under a WATCH that fires", "SET a 1; WATCH a; SET a 2; MULTI; SET b 1", "EXEC"},
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
    {"DEL of a list that is freed lazily", "@100 RPUSH a ~240", "DEL a"},
    {"Freeing of a list", "@100 RPUSH a ~240; DEL a", "SET a 1; SET b 1"},

    // Hashes
    {"HSET a new hash", "", "HSET h f 1 g 2"},
    {"HSET over a value in place", "HSET h f 1", "HSET h f 2"},
    {"HSET a longer value and a new field", "HSET h f 1", "HSET h f ~90 g 2"},
    {"HSET a blob over a blob", "HSET h f ~3000", "HSET h f ~2500y"},
    {"HSET that splits a bucket", "@5 HSET h f# v; @6 HSET h g# v", "HSET h n v"},
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
    {"ZREMRANGEBYRANK", "@20 ZADD z # m#", "ZREMRANGEBYRANK z 3 7"},
    {"ZREMRANGEBYSCORE", "@20 ZADD z # m#", "ZREMRANGEBYSCORE z 3 7"},
    {"ZREMRANGEBYLEX", "ZADD z 0 a 0 b 0 c", "ZREMRANGEBYLEX z [b (c"},
    {"ZUNIONSTORE", "ZADD y 1 a 2 b; ZADD z 3 b 4 c; SET d 1", "ZUNIONSTORE d 2 y z"},
    {"ZINTERSTORE", "ZADD y 1 a 2 b; ZADD z 3 b 4 c", "ZINTERSTORE d 2 y z"},
    {"ZDIFFSTORE", "ZADD y 1 a 2 b; ZADD z 3 b 4 c", "ZDIFFSTORE d 2 y z"},
    {"ZRANGESTORE", "ZADD y 1 a 2 b 3 c", "ZRANGESTORE d y 1 2"},
    {"RENAME of a sorted set between shards", "ZADD a 1 x 2 y; ZADD c 1 x", "RENAME a b"},

    // Threads and processes
    {"A thread leaves", "SET a 1", "!leave"},
    {"A thread leaves with several journal chunks", "SET a ~2000; MULTI; @9 SETRANGE a 0 ~1900; EXEC", "!leave"},
    {"A thread arrives", "SET a 1; !leave", "!arrive"},
};
// clang-format on

}  // namespace

const std::vector<Case>& cases() { return kCases; }

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line, ';');) {
    const size_t begin = line.find_first_not_of(' ');
    if (begin != std::string::npos) lines.push_back(line.substr(begin, line.find_last_not_of(' ') + 1 - begin));
  }
  return lines;
}

}  // namespace shoal::crash
