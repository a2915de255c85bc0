// SPDX-License-Identifier: MIT
// table.cc: everything that Shoal can do, a row a command. docs/COMMANDS.md and `shoal commands` are printed from it.
#include "commands/cmd_bitmap.h"
#include "commands/cmd_client.h"
#include "commands/cmd_config.h"
#include "commands/cmd_generic.h"
#include "commands/cmd_hash.h"
#include "commands/cmd_list.h"
#include "commands/cmd_pubsub.h"
#include "commands/cmd_server.h"
#include "commands/cmd_set.h"
#include "commands/cmd_sort.h"
#include "commands/cmd_sorted_set.h"
#include "commands/cmd_string.h"
#include "commands/command.h"

namespace shoal {

namespace {

constexpr Arity exactly(int32_t n) { return Arity::exactly(n); }
constexpr Arity at_least(int32_t n) { return Arity::at_least(n); }
using enum Group;

// clang-format off
constexpr Command kTable[] = {
    // Strings
    {"APPEND", cmd_append, kString, exactly(3), kWrite | kFast, kFirstKey, "Appends to a string; creates it if it is missing.", "O(1)"},
    {"DECR", cmd_decr, kString, exactly(2), kWrite | kFast, kFirstKey, "Decrements an integer by one.", "O(1)"},
    {"DECRBY", cmd_decrby, kString, exactly(3), kWrite | kFast, kFirstKey, "Decrements an integer.", "O(1)"},
    {"GET", cmd_get, kString, exactly(2), kReadOnly | kFast, kFirstKey, "Returns a string.", "O(1)", get_optimistic},
    {"GETDEL", cmd_getdel, kString, exactly(2), kWrite | kFast, kFirstKey, "Returns a string and deletes it.", "O(1)"},
    {"GETEX", cmd_getex, kString, at_least(2), kWrite | kFast, kFirstKey, "Returns a string and sets its expiry.", "O(1)"},
    {"GETRANGE", cmd_getrange, kString, exactly(4), kReadOnly, kFirstKey, "Returns a part of a string.", "O(N), N = bytes returned"},
    {"GETSET", cmd_getset, kString, exactly(3), kWrite | kFast, kFirstKey, "Sets a string and returns the old one.", "O(1)"},
    {"INCR", cmd_incr, kString, exactly(2), kWrite | kFast, kFirstKey, "Increments an integer by one.", "O(1)"},
    {"INCRBY", cmd_incrby, kString, exactly(3), kWrite | kFast, kFirstKey, "Increments an integer.", "O(1)"},
    {"INCRBYFLOAT", cmd_incrbyfloat, kString, exactly(3), kWrite | kFast, kFirstKey, "Increments a floating-point number.", "O(1)"},
    {"MGET", cmd_mget, kString, at_least(2), kReadOnly | kFast, kAllKeys, "Returns several strings, all of one moment.", "O(N), N = keys"},
    {"MSET", cmd_mset, kString, at_least(3), kWrite, {1, -1, 2}, "Sets several strings at once.", "O(N), N = keys"},
    {"MSETNX", cmd_msetnx, kString, at_least(3), kWrite, {1, -1, 2}, "Sets several strings if none of the keys exists.", "O(N), N = keys"},
    {"PSETEX", cmd_psetex, kString, exactly(4), kWrite, kFirstKey, "Sets a string with an expiry in milliseconds.", "O(1)"},
    {"SET", cmd_set, kString, at_least(3), kWrite, kFirstKey, "Sets a string, whatever the key held.", "O(1)"},
    {"SETEX", cmd_setex, kString, exactly(4), kWrite, kFirstKey, "Sets a string with an expiry in seconds.", "O(1)"},
    {"SETNX", cmd_setnx, kString, exactly(3), kWrite | kFast, kFirstKey, "Sets a string if the key is missing.", "O(1)"},
    {"SETRANGE", cmd_setrange, kString, exactly(4), kWrite, kFirstKey, "Overwrites a part of a string.", "O(N), N = bytes written; of a string above 2 KB all of it"},
    {"STRLEN", cmd_strlen, kString, exactly(2), kReadOnly | kFast, kFirstKey, "Returns the length of a string.", "O(1)"},
    {"SUBSTR", cmd_getrange, kString, exactly(4), kReadOnly, kFirstKey, "The old name of GETRANGE.", "O(N), N = bytes returned"},

    // Bits of strings
    {"BITCOUNT", cmd_bitcount, kString, at_least(2), kReadOnly, kFirstKey, "Counts the bits that are set.", "O(N), N = bytes looked at"},
    {"BITFIELD", cmd_bitfield, kString, at_least(2), kWrite, kFirstKey, "Reads and writes integers of any width in a string.", "O(N), N = operations; see SETRANGE"},
    {"BITFIELD_RO", cmd_bitfield, kString, at_least(2), kReadOnly | kFast, kFirstKey, "Reads integers of any width in a string.", "O(N), N = operations"},
    {"BITOP", cmd_bitop, kString, at_least(4), kWrite, {2, -1, 1}, "Stores AND, OR, XOR or NOT of strings.", "O(N), N = bytes of all"},
    {"BITPOS", cmd_bitpos, kString, at_least(3), kReadOnly, kFirstKey, "Finds the first bit that is set, or not.", "O(N), N = bytes looked at"},
    {"GETBIT", cmd_getbit, kString, exactly(3), kReadOnly | kFast, kFirstKey, "Returns a bit.", "O(1)"},
    {"SETBIT", cmd_setbit, kString, exactly(4), kWrite, kFirstKey, "Sets a bit and returns the old one.", "O(1); see SETRANGE"},

    // Lists
    {"BLMOVE", cmd_blmove, kList, exactly(6), kWrite | kBlocking, kTwoKeys, "Moves an element between lists; waits for one.", "O(1)"},
    {"BLMPOP", cmd_blmpop, kList, at_least(5), kWrite | kBlocking | kNumKeys, {2, 0, 1}, "Pops elements from the first list that has some; waits.", "O(N), N = keys + elements"},
    {"BLPOP", cmd_blpop, kList, at_least(3), kWrite | kBlocking, {1, -2, 1}, "Pops the first element of the first list that has one; waits.", "O(N), N = keys"},
    {"BRPOP", cmd_brpop, kList, at_least(3), kWrite | kBlocking, {1, -2, 1}, "Pops the last element of the first list that has one; waits.", "O(N), N = keys"},
    {"BRPOPLPUSH", cmd_brpoplpush, kList, exactly(4), kWrite | kBlocking, kTwoKeys, "Moves the last element to the front of a list; waits.", "O(1)"},
    {"LINDEX", cmd_lindex, kList, exactly(3), kReadOnly, kFirstKey, "Returns an element by its index.", "O(N), N = nodes to the nearer end"},
    {"LINSERT", cmd_linsert, kList, exactly(5), kWrite, kFirstKey, "Inserts an element before or after another.", "O(N), N = elements before it"},
    {"LLEN", cmd_llen, kList, exactly(2), kReadOnly | kFast, kFirstKey, "Returns the length of a list.", "O(1)"},
    {"LMOVE", cmd_lmove, kList, exactly(5), kWrite, kTwoKeys, "Moves an element between lists.", "O(1)"},
    {"LMPOP", cmd_lmpop, kList, at_least(4), kWrite | kNumKeys, {1, 0, 1}, "Pops elements from the first list that has some.", "O(N), N = keys + elements"},
    {"LPOP", cmd_lpop, kList, at_least(2), kWrite | kFast, kFirstKey, "Pops the first elements of a list.", "O(N), N = elements"},
    {"LPOS", cmd_lpos, kList, at_least(3), kReadOnly, kFirstKey, "Finds the index of an element.", "O(N), N = length"},
    {"LPUSH", cmd_lpush, kList, at_least(3), kWrite | kFast, kFirstKey, "Pushes elements to the front of a list.", "O(N), N = elements"},
    {"LPUSHX", cmd_lpushx, kList, at_least(3), kWrite | kFast, kFirstKey, "The same, only if the list exists.", "O(N), N = elements"},
    {"LRANGE", cmd_lrange, kList, exactly(4), kReadOnly, kFirstKey, "Returns elements by their indexes.", "O(N), N = nodes to the start + elements"},
    {"LREM", cmd_lrem, kList, exactly(4), kWrite, kFirstKey, "Removes elements that equal a value.", "O(N), N = length"},
    {"LSET", cmd_lset, kList, exactly(4), kWrite, kFirstKey, "Replaces an element by its index.", "O(N), N = nodes to the nearer end"},
    {"LTRIM", cmd_ltrim, kList, exactly(4), kWrite, kFirstKey, "Keeps only a range of a list.", "O(N), N = elements removed"},
    {"RPOP", cmd_rpop, kList, at_least(2), kWrite | kFast, kFirstKey, "Pops the last elements of a list.", "O(N), N = elements"},
    {"RPOPLPUSH", cmd_rpoplpush, kList, exactly(3), kWrite, kTwoKeys, "Moves the last element of a list to the front of one.", "O(1)"},
    {"RPUSH", cmd_rpush, kList, at_least(3), kWrite | kFast, kFirstKey, "Pushes elements to the end of a list.", "O(N), N = elements"},
    {"RPUSHX", cmd_rpushx, kList, at_least(3), kWrite | kFast, kFirstKey, "The same, only if the list exists.", "O(N), N = elements"},

    // Hashes
    {"HDEL", cmd_hdel, kHash, at_least(3), kWrite | kFast, kFirstKey, "Removes fields of a hash.", "O(N), N = fields"},
    {"HEXISTS", cmd_hexists, kHash, exactly(3), kReadOnly | kFast, kFirstKey, "Tells whether a hash has a field.", "O(1)"},
    {"HGET", cmd_hget, kHash, exactly(3), kReadOnly | kFast, kFirstKey, "Returns a field of a hash.", "O(1)"},
    {"HGETALL", cmd_hgetall, kHash, exactly(2), kReadOnly, kFirstKey, "Returns all fields and values.", "O(N), N = fields"},
    {"HINCRBY", cmd_hincrby, kHash, exactly(4), kWrite | kFast, kFirstKey, "Increments an integer in a hash.", "O(1)"},
    {"HINCRBYFLOAT", cmd_hincrbyfloat, kHash, exactly(4), kWrite | kFast, kFirstKey, "Increments a floating-point number in a hash.", "O(1)"},
    {"HKEYS", cmd_hkeys, kHash, exactly(2), kReadOnly, kFirstKey, "Returns all fields.", "O(N), N = fields"},
    {"HLEN", cmd_hlen, kHash, exactly(2), kReadOnly | kFast, kFirstKey, "Counts the fields of a hash.", "O(1)"},
    {"HMGET", cmd_hmget, kHash, at_least(3), kReadOnly | kFast, kFirstKey, "Returns several fields of a hash.", "O(N), N = fields asked for"},
    {"HMSET", cmd_hmset, kHash, at_least(4), kWrite | kFast, kFirstKey, "The old form of HSET.", "O(N), N = fields"},
    {"HRANDFIELD", cmd_hrandfield, kHash, at_least(2), kReadOnly, kFirstKey, "Returns random fields.", "O(N), N = fields returned"},
    {"HSCAN", cmd_hscan, kHash, at_least(3), kReadOnly, kFirstKey, "Iterates over the fields of a hash.", "O(1) a call"},
    {"HSET", cmd_hset, kHash, at_least(4), kWrite | kFast, kFirstKey, "Sets fields of a hash.", "O(N), N = fields"},
    {"HSETNX", cmd_hsetnx, kHash, exactly(4), kWrite | kFast, kFirstKey, "Sets a field of a hash if it is missing.", "O(1)"},
    {"HSTRLEN", cmd_hstrlen, kHash, exactly(3), kReadOnly | kFast, kFirstKey, "Returns the length of a field's value.", "O(1)"},
    {"HVALS", cmd_hvals, kHash, exactly(2), kReadOnly, kFirstKey, "Returns all values.", "O(N), N = fields"},

    // Sets
    {"SADD", cmd_sadd, kSet, at_least(3), kWrite | kFast, kFirstKey, "Adds members to a set.", "O(N), N = members"},
    {"SCARD", cmd_scard, kSet, exactly(2), kReadOnly | kFast, kFirstKey, "Counts the members of a set.", "O(1)"},
    {"SDIFF", cmd_sdiff, kSet, at_least(2), kReadOnly, kAllKeys, "Returns the difference of sets.", "O(N), N = members of the first, times sets"},
    {"SDIFFSTORE", cmd_sdiffstore, kSet, at_least(3), kWrite, kAllKeys, "Stores the difference of sets.", "O(N), N = members of the first, times sets"},
    {"SINTER", cmd_sinter, kSet, at_least(2), kReadOnly, kAllKeys, "Returns the intersection of sets.", "O(N), N = members of the smallest, times sets"},
    {"SINTERCARD", cmd_sintercard, kSet, at_least(3), kReadOnly | kNumKeys, {1, 0, 1}, "Counts the intersection of sets.", "O(N), N = members of the smallest, times sets"},
    {"SINTERSTORE", cmd_sinterstore, kSet, at_least(3), kWrite, kAllKeys, "Stores the intersection of sets.", "O(N), N = members of the smallest, times sets"},
    {"SISMEMBER", cmd_sismember, kSet, exactly(3), kReadOnly | kFast, kFirstKey, "Tells whether a set has a member.", "O(1)"},
    {"SMEMBERS", cmd_smembers, kSet, exactly(2), kReadOnly, kFirstKey, "Returns all members of a set.", "O(N), N = members"},
    {"SMISMEMBER", cmd_smismember, kSet, at_least(3), kReadOnly | kFast, kFirstKey, "Tells which members a set has.", "O(N), N = members asked for"},
    {"SMOVE", cmd_smove, kSet, exactly(4), kWrite | kFast, kTwoKeys, "Moves a member between sets.", "O(1)"},
    {"SPOP", cmd_spop, kSet, at_least(2), kWrite | kFast, kFirstKey, "Removes and returns random members.", "O(N), N = members returned"},
    {"SRANDMEMBER", cmd_srandmember, kSet, at_least(2), kReadOnly, kFirstKey, "Returns random members.", "O(N), N = members returned"},
    {"SREM", cmd_srem, kSet, at_least(3), kWrite | kFast, kFirstKey, "Removes members of a set.", "O(N), N = members"},
    {"SSCAN", cmd_sscan, kSet, at_least(3), kReadOnly, kFirstKey, "Iterates over the members of a set.", "O(1) a call"},
    {"SUNION", cmd_sunion, kSet, at_least(2), kReadOnly, kAllKeys, "Returns the union of sets.", "O(N), N = members of all, times sets"},
    {"SUNIONSTORE", cmd_sunionstore, kSet, at_least(3), kWrite, kAllKeys, "Stores the union of sets.", "O(N), N = members of all, times sets"},

    // Sorted sets
    {"BZMPOP", cmd_bzmpop, kSortedSet, at_least(5), kWrite | kBlocking | kNumKeys, {2, 0, 1}, "Pops elements from the first sorted set that has some; waits.", "O(K + N log M), N = elements popped"},
    {"BZPOPMAX", cmd_bzpopmax, kSortedSet, at_least(3), kWrite | kBlocking | kFast, {1, -2, 1}, "Pops the highest element of the first sorted set that has one; waits.", "O(log N)"},
    {"BZPOPMIN", cmd_bzpopmin, kSortedSet, at_least(3), kWrite | kBlocking | kFast, {1, -2, 1}, "Pops the lowest element of the first sorted set that has one; waits.", "O(log N)"},
    {"ZADD", cmd_zadd, kSortedSet, at_least(4), kWrite | kFast, kFirstKey, "Adds elements to a sorted set, or changes their scores.", "O(log N) an element"},
    {"ZCARD", cmd_zcard, kSortedSet, exactly(2), kReadOnly | kFast, kFirstKey, "Counts the elements of a sorted set.", "O(1)"},
    {"ZCOUNT", cmd_zcount, kSortedSet, exactly(4), kReadOnly | kFast, kFirstKey, "Counts the elements in a range of scores.", "O(log N)"},
    {"ZDIFF", cmd_zdiff, kSortedSet, at_least(3), kReadOnly | kNumKeys, {1, 0, 1}, "Returns the difference of sorted sets.", "O(N log N)"},
    {"ZDIFFSTORE", cmd_zdiffstore, kSortedSet, at_least(4), kWrite | kNumKeys, {2, 1, 1}, "Stores the difference of sorted sets.", "O(N log N)"},
    {"ZINCRBY", cmd_zincrby, kSortedSet, exactly(4), kWrite | kFast, kFirstKey, "Increments a score.", "O(log N)"},
    {"ZINTER", cmd_zinter, kSortedSet, at_least(3), kReadOnly | kNumKeys, {1, 0, 1}, "Returns the intersection of sorted sets.", "O(N K + M log M), M = result"},
    {"ZINTERCARD", cmd_zintercard, kSortedSet, at_least(3), kReadOnly | kNumKeys, {1, 0, 1}, "Counts the intersection of sorted sets.", "O(N K)"},
    {"ZINTERSTORE", cmd_zinterstore, kSortedSet, at_least(4), kWrite | kNumKeys, {2, 1, 1}, "Stores the intersection of sorted sets.", "O(N K + M log M), M = result"},
    {"ZLEXCOUNT", cmd_zlexcount, kSortedSet, exactly(4), kReadOnly | kFast, kFirstKey, "Counts the elements in a range of members.", "O(log N)"},
    {"ZMPOP", cmd_zmpop, kSortedSet, at_least(4), kWrite | kNumKeys, {1, 0, 1}, "Pops elements from the first sorted set that has some.", "O(K + N log M), N = elements popped"},
    {"ZMSCORE", cmd_zmscore, kSortedSet, at_least(3), kReadOnly | kFast, kFirstKey, "Returns several scores.", "O(N), N = members asked for"},
    {"ZPOPMAX", cmd_zpopmax, kSortedSet, at_least(2), kWrite | kFast, kFirstKey, "Pops the highest elements.", "O(N log M), N = elements popped"},
    {"ZPOPMIN", cmd_zpopmin, kSortedSet, at_least(2), kWrite | kFast, kFirstKey, "Pops the lowest elements.", "O(N log M), N = elements popped"},
    {"ZRANDMEMBER", cmd_zrandmember, kSortedSet, at_least(2), kReadOnly, kFirstKey, "Returns random elements.", "O(N), N = elements returned"},
    {"ZRANGE", cmd_zrange, kSortedSet, at_least(4), kReadOnly, kFirstKey, "Returns a range of ranks, scores or members.", "O(log N + M), M = elements returned"},
    {"ZRANGEBYLEX", cmd_zrangebylex, kSortedSet, at_least(4), kReadOnly, kFirstKey, "Returns a range of members.", "O(log N + M), M = elements returned"},
    {"ZRANGEBYSCORE", cmd_zrangebyscore, kSortedSet, at_least(4), kReadOnly, kFirstKey, "Returns a range of scores.", "O(log N + M), M = elements returned"},
    {"ZRANGESTORE", cmd_zrangestore, kSortedSet, at_least(5), kWrite, kTwoKeys, "Stores a range of ranks, scores or members.", "O(log N + M log M), M = elements stored"},
    {"ZRANK", cmd_zrank, kSortedSet, exactly(3), kReadOnly | kFast, kFirstKey, "Returns the rank of a member.", "O(log N)"},
    {"ZREM", cmd_zrem, kSortedSet, at_least(3), kWrite | kFast, kFirstKey, "Removes members of a sorted set.", "O(M log N), M = members"},
    {"ZREMRANGEBYLEX", cmd_zremrangebylex, kSortedSet, exactly(4), kWrite, kFirstKey, "Removes a range of members.", "O(M log N), M = elements removed"},
    {"ZREMRANGEBYRANK", cmd_zremrangebyrank, kSortedSet, exactly(4), kWrite, kFirstKey, "Removes a range of ranks.", "O(M log N), M = elements removed"},
    {"ZREMRANGEBYSCORE", cmd_zremrangebyscore, kSortedSet, exactly(4), kWrite, kFirstKey, "Removes a range of scores.", "O(M log N), M = elements removed"},
    {"ZREVRANGE", cmd_zrevrange, kSortedSet, at_least(4), kReadOnly, kFirstKey, "Returns a range of ranks from the end.", "O(log N + M), M = elements returned"},
    {"ZREVRANGEBYLEX", cmd_zrevrangebylex, kSortedSet, at_least(4), kReadOnly, kFirstKey, "Returns a range of members from the end.", "O(log N + M), M = elements returned"},
    {"ZREVRANGEBYSCORE", cmd_zrevrangebyscore, kSortedSet, at_least(4), kReadOnly, kFirstKey, "Returns a range of scores from the end.", "O(log N + M), M = elements returned"},
    {"ZREVRANK", cmd_zrevrank, kSortedSet, exactly(3), kReadOnly | kFast, kFirstKey, "Returns the rank of a member from the end.", "O(log N)"},
    {"ZSCAN", cmd_zscan, kSortedSet, at_least(3), kReadOnly, kFirstKey, "Iterates over the elements of a sorted set.", "O(1) a call"},
    {"ZSCORE", cmd_zscore, kSortedSet, exactly(3), kReadOnly | kFast, kFirstKey, "Returns the score of a member.", "O(1)"},
    {"ZUNION", cmd_zunion, kSortedSet, at_least(3), kReadOnly | kNumKeys, {1, 0, 1}, "Returns the union of sorted sets.", "O(N log N)"},
    {"ZUNIONSTORE", cmd_zunionstore, kSortedSet, at_least(4), kWrite | kNumKeys, {2, 1, 1}, "Stores the union of sorted sets.", "O(N log N)"},

    // Keys of any type
    {"COPY", cmd_copy, kGeneric, at_least(3), kWrite, kTwoKeys, "Copies a value to another key.", "O(N), N = elements or bytes", nullptr, copy_shards},
    {"DBSIZE", cmd_dbsize, kServer, exactly(1), kReadOnly | kAllShards | kFast, kNoKeys, "Counts the keys of the database.", "O(1)"},
    {"DEL", cmd_del, kGeneric, at_least(2), kWrite, kAllKeys, "Deletes keys; large values are freed bit by bit.", "O(N), N = keys"},
    {"EXISTS", cmd_exists, kGeneric, at_least(2), kReadOnly | kFast, kAllKeys, "Counts which of the keys exist.", "O(N), N = keys"},
    {"EXPIRE", cmd_expire, kGeneric, at_least(3), kWrite | kFast, kFirstKey, "Sets a key's time to live in seconds.", "O(1)"},
    {"EXPIREAT", cmd_expireat, kGeneric, at_least(3), kWrite | kFast, kFirstKey, "Sets a key's expiry to a Unix time.", "O(1)"},
    {"EXPIRETIME", cmd_expiretime, kGeneric, exactly(2), kReadOnly | kFast, kFirstKey, "Returns a key's expiry as a Unix time.", "O(1)"},
    {"FLUSHALL", cmd_flushall, kServer, at_least(1), kWrite | kAllShards, kNoKeys, "Removes all keys of all databases.", "O(N), N = shards; freed bit by bit"},
    {"FLUSHDB", cmd_flushdb, kServer, at_least(1), kWrite | kAllShards, kNoKeys, "Removes all keys of the database.", "O(N), N = shards; beside another database O(N), N = keys; freed bit by bit"},
    {"KEYS", cmd_keys, kGeneric, exactly(2), kReadOnly | kAllShards, kNoKeys, "Returns the keys that match a pattern.", "O(N), N = keys"},
    {"MEMORY", nullptr, kServer, at_least(2), 0, kNoKeys, "Questions about memory.", "-"},
    {"MEMORY|USAGE", cmd_memory_usage, kServer, at_least(3), kReadOnly, {2, 2, 1}, "Returns the bytes of a key with its value.", "O(N), N = elements"},
    {"MOVE", cmd_move, kGeneric, exactly(3), kWrite | kFast, kFirstKey, "Moves a key to another database.", "O(1)", nullptr, move_shards},
    {"OBJECT", nullptr, kGeneric, at_least(2), 0, kNoKeys, "Commands about the inside of a value.", "-"},
    {"OBJECT|ENCODING", cmd_object_encoding, kGeneric, exactly(3), kReadOnly, {2, 2, 1}, "Returns how a value is encoded.", "O(1)"},
    {"OBJECT|FREQ", cmd_object_freq, kGeneric, exactly(3), kReadOnly, {2, 2, 1}, "Answers that no frequency of use is tracked.", "O(1)"},
    {"OBJECT|IDLETIME", cmd_object_idletime, kGeneric, exactly(3), kReadOnly, {2, 2, 1}, "Answers that no time of last use is tracked.", "O(1)"},
    {"OBJECT|REFCOUNT", cmd_object_refcount, kGeneric, exactly(3), kReadOnly, {2, 2, 1}, "Returns 1 for a key that exists.", "O(1)"},
    {"PERSIST", cmd_persist, kGeneric, exactly(2), kWrite | kFast, kFirstKey, "Takes a key's expiry away.", "O(1)"},
    {"PEXPIRE", cmd_pexpire, kGeneric, at_least(3), kWrite | kFast, kFirstKey, "Sets a key's time to live in milliseconds.", "O(1)"},
    {"PEXPIREAT", cmd_pexpireat, kGeneric, at_least(3), kWrite | kFast, kFirstKey, "Sets a key's expiry to a Unix time in milliseconds.", "O(1)"},
    {"PEXPIRETIME", cmd_pexpiretime, kGeneric, exactly(2), kReadOnly | kFast, kFirstKey, "Returns a key's expiry in milliseconds.", "O(1)"},
    {"PTTL", cmd_pttl, kGeneric, exactly(2), kReadOnly | kFast, kFirstKey, "Returns a key's time to live in milliseconds.", "O(1)"},
    {"RANDOMKEY", cmd_randomkey, kGeneric, exactly(1), kReadOnly | kAllShards, kNoKeys, "Returns a random key.", "O(1); O(N) where nearly all are expired or of other databases"},
    {"RENAME", cmd_rename, kGeneric, exactly(3), kWrite, kTwoKeys, "Renames a key; replaces the target.", "O(1)"},
    {"RENAMENX", cmd_renamenx, kGeneric, exactly(3), kWrite, kTwoKeys, "Renames a key if the target is missing.", "O(1)"},
    {"SCAN", cmd_scan, kGeneric, at_least(2), kReadOnly, kNoKeys, "Iterates over the keys.", "O(1) a call", nullptr, scan_shards},
    {"SORT", cmd_sort, kGeneric, at_least(2), kWrite, kFirstKey, "Returns or stores the elements of a list, set or sorted set in order.", "O(N log N), N = elements; BY and GET with * lock all shards", nullptr, sort_shards},
    {"SORT_RO", cmd_sort, kGeneric, at_least(2), kReadOnly, kFirstKey, "Returns the elements of a list, set or sorted set in order.", "that of SORT", nullptr, sort_shards},
    {"TOUCH", cmd_exists, kGeneric, at_least(2), kReadOnly | kFast, kAllKeys, "Counts which of the keys exist and marks them as used.", "O(N), N = keys"},
    {"TTL", cmd_ttl, kGeneric, exactly(2), kReadOnly | kFast, kFirstKey, "Returns a key's time to live in seconds.", "O(1)"},
    {"TYPE", cmd_type, kGeneric, exactly(2), kReadOnly | kFast, kFirstKey, "Returns the type of a value.", "O(1)"},
    {"UNLINK", cmd_del, kGeneric, at_least(2), kWrite | kFast, kAllKeys, "The same as DEL.", "O(N), N = keys"},

    // Transactions
    {"DISCARD", cmd_discard, kTransactions, exactly(1), kSession | kFast, kNoKeys, "Drops the queued commands.", "O(N), N = commands"},
    {"EXEC", cmd_exec, kTransactions, exactly(1), kSession, kNoKeys, "Runs the queued commands as one.", "that of the commands"},
    {"MULTI", cmd_multi, kTransactions, exactly(1), kSession | kFast, kNoKeys, "Starts to queue commands.", "O(1)"},
    {"UNWATCH", cmd_unwatch, kTransactions, exactly(1), kSession | kFast, kNoKeys, "Forgets the watched keys.", "O(1)"},
    {"WATCH", cmd_watch, kTransactions, at_least(2), kReadOnly | kFast, kAllKeys, "Makes the next EXEC fail if a key changes.", "O(N), N = keys"},

    // Channels
    {"PUBLISH", cmd_publish, kPubSub, exactly(3), kSession | kFast, kNoKeys, "Publishes a message to a channel.", "O(N), N = subscribed threads", nullptr, publish_shards},
    {"PUBSUB", nullptr, kPubSub, at_least(2), 0, kNoKeys, "Questions about channels.", "-"},
    {"PUBSUB|CHANNELS", cmd_pubsub_channels, kPubSub, at_least(2), kReadOnly | kAllShards, kNoKeys, "Lists the channels that have subscribers.", "O(N), N = channels"},
    {"PUBSUB|NUMPAT", cmd_pubsub_numpat, kPubSub, exactly(2), kReadOnly, kNoKeys, "Counts the patterns that are subscribed to.", "O(N), N = patterns"},
    {"PUBSUB|NUMSUB", cmd_pubsub_numsub, kPubSub, at_least(2), kReadOnly | kAllShards, kNoKeys, "Counts the subscribers of channels.", "O(N), N = channels asked for"},

    // Session and server
    {"AUTH", cmd_auth, kConnection, at_least(2), kSession | kFast, kNoKeys, "Accepts the user `default`; there are no passwords.", "O(1)"},
    {"CLIENT", nullptr, kConnection, at_least(2), 0, kNoKeys, "Commands about who is attached.", "-"},
    {"CLIENT|GETNAME", cmd_client_getname, kConnection, exactly(2), kSession | kFast, kNoKeys, "Returns the session's name.", "O(1)"},
    {"CLIENT|ID", cmd_client_id, kConnection, exactly(2), kSession | kFast, kNoKeys, "Returns the session's number.", "O(1)"},
    {"CLIENT|INFO", cmd_client_info, kConnection, exactly(2), kSession, kNoKeys, "Returns this session's line of CLIENT LIST.", "O(N), N = threads attached"},
    {"CLIENT|LIST", cmd_client_list, kConnection, at_least(2), kSession, kNoKeys, "Lists the processes that are attached.", "O(N M), N = processes, M = threads attached"},
    {"CLIENT|NO-EVICT", cmd_client_no_evict, kConnection, exactly(3), kSession | kFast, kNoKeys, "Accepted: no client is ever evicted.", "O(1)"},
    {"CLIENT|SETINFO", cmd_client_setinfo, kConnection, exactly(4), kSession | kFast, kNoKeys, "Accepted and ignored.", "O(1)"},
    {"CLIENT|SETNAME", cmd_client_setname, kConnection, exactly(3), kSession | kFast, kNoKeys, "Names the session.", "O(1)"},
    {"COMMAND", nullptr, kServer, at_least(1), 0, kNoKeys, "Commands about commands.", "-"},
    {"COMMAND|COUNT", cmd_command_count, kServer, exactly(2), kSession | kFast, kNoKeys, "Counts the commands.", "O(N)"},
    {"COMMAND|LIST", cmd_command_list, kServer, exactly(2), kSession, kNoKeys, "Returns the names of the commands.", "O(N)"},
    {"CONFIG", nullptr, kServer, at_least(2), 0, kNoKeys, "Commands about options.", "-"},
    {"CONFIG|GET", cmd_config_get, kServer, at_least(3), kSession, kNoKeys, "Returns options of Redis's that have a meaning here.", "O(N), N = patterns"},
    {"CONFIG|RESETSTAT", cmd_config_resetstat, kServer, exactly(2), kSession, kNoKeys, "Accepted: INFO counts nothing that could be reset.", "O(1)"},
    {"CONFIG|REWRITE", cmd_config_rewrite, kServer, exactly(2), kSession, kNoKeys, "Answers that there is no configuration file.", "O(1)"},
    {"CONFIG|SET", cmd_config_set, kServer, at_least(4), kSession, kNoKeys, "Accepts an option's present value and refuses any other.", "O(N), N = options"},
    {"ECHO", cmd_echo, kConnection, exactly(2), kSession | kFast, kNoKeys, "Returns its argument.", "O(1)"},
    {"HELLO", cmd_hello, kConnection, at_least(1), kSession | kFast, kNoKeys, "Chooses RESP2 or RESP3 shapes.", "O(1)"},
    {"INFO", cmd_info, kServer, at_least(1), kSession, kNoKeys, "Returns facts about the segment.", "O(N), N = shards"},
    {"PING", cmd_ping, kConnection, at_least(1), kSession | kFast, kNoKeys, "Returns PONG or its argument.", "O(1)"},
    {"RESET", cmd_reset, kConnection, exactly(1), kSession | kFast | kNotInMulti, kNoKeys, "Resets the session.", "O(1)"},
    {"SELECT", cmd_select, kConnection, exactly(2), kSession | kFast, kNoKeys, "Selects a database.", "O(1)"},
    {"TIME", cmd_time, kServer, exactly(1), kSession | kFast, kNoKeys, "Returns the server's time.", "O(1)"},
    {"WAIT", cmd_wait, kGeneric, exactly(3), kSession, kNoKeys, "Answers 0: there are no replicas.", "O(1)"},
};
// clang-format on

}  // namespace

std::span<const Command> command_table() noexcept { return kTable; }

}  // namespace shoal
