// SPDX-License-Identifier: MIT
#include "crash/life_words.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <sstream>
#include <stdexcept>

#include "base/clock.h"
#include "commands/reap.h"
#include "crash/store_trap.h"
#include "crash/world.h"
#include "keyspace/expiry.h"
#include "keyspace/keyspace.h"
#include "transaction/transaction.h"

namespace shoal::crash {

namespace {

constexpr uint32_t kFreeBudget = 8;  // as the daemon's

pid_t fork_child() {
  const pid_t child = ::fork();
  if (child < 0) throw std::runtime_error("fork");
  if (child == 0) ::alarm(kWatchdogSeconds);  // it inherits none
  return child;
}

bool was_killed(pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

// Transactions on a shard as long as `step` says that there is more; ends where there is no room for one.
template <typename Step>
void work_through(Process& process, uint32_t shard, Step&& step) {
  for (bool more = true; more;) {
    Transaction tx(process, *process.context().value(), {Purpose::kExpire});
    if (!tx.begin(uint64_t{1} << shard, kLockBudgetNs).ok()) throw std::runtime_error("no lock");
    more = step(tx);
    more = tx.commit().ok() && more;
  }
}

}  // namespace

void die() {
  StoreTrap::keep_counts();
  ::kill(::getpid(), SIGKILL);
  for (;;) ::pause();
}

bool LifeWords::run(const std::string& line) {
  std::istringstream in(line);
  std::string word, rest;
  in >> word;
  std::getline(in, rest);
  if (word == "!leave") {
    process_->release_context();
  } else if (word == "!arrive") {
    (void)process_->context();
  } else if (word == "!renew") {
    process_->release_context();
    (void)process_->context();
  } else if (word == "!wrap") {
    wrap();
  } else if (word == "!attach") {
    others_.push_back(attach(process_->shared_segment()));
    (void)others_.back()->context();
  } else if (word == "!detach") {
    others_.pop_back();
  } else if (word == "!expire") {
    expire();
  } else if (word == "!free") {
    free();
  } else if (word == "!grow") {
    (void)process_->segment().grow(kExtentBytes);
  } else if (word == "!dead") {
    die_in_a_child(rest);
  } else if (word == "!fork") {
    go_on_in_a_child();
  } else if (word == "!suspect" || word == "!pardon") {
    suspect(rest.substr(rest.find_first_not_of(' ')), word == "!suspect");
  } else if (word == "!sweep") {
    (void)sweep(*process_);
  } else {
    return false;
  }
  return true;
}

void LifeWords::wrap() {
  Segment& segment = process_->segment();
  for (uint32_t index = 0; index < segment.context_count(); ++index) {
    shm::Context& context = segment.control_context(index);
    if (context.claim.load() == 0) context.next_generation = shm::kContextGenerationMask;
  }
}

void LifeWords::expire() {
  for (uint32_t shard = 0; shard < process_->segment().shard_count(); ++shard) {
    keyspace::ExpiryPass pass;
    work_through(*process_, shard,
                 [&](Transaction& tx) { return !keyspace::expire_step(tx, shard, wall_clock_ms(), pass); });
  }
}

void LifeWords::free() {
  for (uint32_t shard = 0; shard < process_->segment().shard_count(); ++shard) {
    work_through(*process_, shard, [&](Transaction& tx) { return keyspace::free_lazily(tx, shard, kFreeBudget); });
  }
}

void LifeWords::suspect(const std::string& key, bool is) {
  shm::Shard& shard = process_->segment().control_shard(keyspace::make_key(process_->segment(), 0, key).shard);
  shard.suspects[0] = {0, is ? monotonic_ns() / 1'000'000 : 0, Purpose::kCheck, is ? 1u : 0u};
  shard.deaths = shard.suspects[0].deaths;
}

void LifeWords::die_in_a_child(const std::string& lines) {
  const pid_t child = fork_child();
  if (child == 0) {
    std::istringstream in(lines);
    try {
      for (std::string line; std::getline(in, line, '&');) run_(line.substr(line.find_first_not_of(' ')));
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s\n", error.what());
      ::_exit(1);
    }
    die();
  }
  if (!was_killed(child)) throw std::runtime_error("a child that was to die ended otherwise");
}

void LifeWords::go_on_in_a_child() {
  const pid_t child = fork_child();
  if (child == 0) return;
  if (was_killed(child)) die();
  ::_exit(1);
}

}  // namespace shoal::crash
