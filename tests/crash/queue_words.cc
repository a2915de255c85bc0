// SPDX-License-Identifier: MIT
#include "crash/queue_words.h"

#include <algorithm>
#include <stdexcept>

#include "base/clock.h"
#include "queues/directory.h"
#include "queues/tree.h"

namespace shoal::crash {

using queues::Outcome;
using shm::Holder;
using shm::Task;

namespace {

Outcome outcome_of(const std::string& word) {
  return word == "ack" ? Outcome::kAck : word == "drop" ? Outcome::kDrop : Outcome::kRequeue;
}

std::string text_of(const Task& task, bool leased) {
  std::string text = std::to_string(task.number) + "=" + std::to_string(task.bytes) + ":" +
                     std::string(reinterpret_cast<const char*>(&task + 1), std::min<uint64_t>(task.bytes, 8)) + "/p" +
                     std::to_string(task.priority) + "/d" + std::to_string(task.deliveries) + "/f" +
                     std::to_string(task.flags) + "/" + std::to_string(task.finished);
  if (leased) text += "/s" + std::to_string(task.second) + "/l" + std::to_string(task.lease);
  return text + " ";
}

std::string text_of_tree(const Segment& segment, uint64_t root, bool leased) {
  if (root == 0) return "";
  const Task& task = *segment.pointer<Task>(root);
  return text_of_tree(segment, task.left, leased) + text_of(task, leased) + text_of_tree(segment, task.right, leased);
}

std::string text_of_list(const Segment& segment, const shm::TaskList& list) {
  std::string text;
  for (uint64_t next = list.first; next != 0; next = segment.pointer<Task>(next)->right) {
    text += text_of(*segment.pointer<Task>(next), false);
  }
  return text;
}

std::string text_of_queue(const Segment& segment, const shm::Queue& queue) {
  std::string text = "queue " + std::to_string(queue.head.database) + ":" +
                     std::string(queues::name_of(queue.head, sizeof(shm::Queue))) + " #" +
                     std::to_string(queue.incarnation) + " pushed " + std::to_string(queue.pushed) + " ready ";
  for (const shm::TaskList& list : queue.ready) text += text_of_list(segment, list);
  text += "returned " + text_of_tree(segment, queue.returned, false);
  text += "delayed " + text_of_tree(segment, queue.delayed, false);
  text += "dead " + text_of_list(segment, queue.dead);
  for (const uint64_t first : {queue.consumers, queue.helpers}) {
    for (uint64_t next = first; next != 0; next = segment.pointer<Holder>(next)->next) {
      const Holder& holder = *segment.pointer<Holder>(next);
      text += "holder " + std::to_string(holder.id) + (holder.waiter != 0 ? " waits: " : ": ") +
              text_of_tree(segment, holder.leases, true);
    }
  }
  return text;
}

}  // namespace

std::vector<std::string> look_at_queues(const Segment& segment, uint32_t shard) {
  std::vector<std::string> lines;
  Dict::for_each(segment, segment.shard(shard).queues, [&](uint64_t item) {
    if (segment.pointer<shm::Named>(item)->kind == shm::NamedKind::kQueue) {
      lines.push_back(text_of_queue(segment, *segment.pointer<shm::Queue>(item)));
      return;
    }
    const auto& exchange = *segment.pointer<shm::Exchange>(item);
    std::string line = "exchange " + std::string(queues::name_of(exchange.head, sizeof(shm::Exchange))) + ": ";
    for (uint64_t next = exchange.bindings; next != 0; next = segment.pointer<shm::Binding>(next)->next) {
      const auto& binding = *segment.pointer<shm::Binding>(next);
      line += std::string(reinterpret_cast<const char*>(&binding + 1),
                          binding.key_bytes + binding.pattern_bytes + binding.queue_bytes) +
              "#" + std::to_string(binding.incarnation) + " ";
    }
    lines.push_back(line);
  });
  return lines;
}

QueueWords::Who& QueueWords::who(const std::string& name) {
  Who& who = who_[name];
  if (who.consumer != nullptr) return who;
  if (name == "x" || name == "y") {
    auto attached = Process::attach(process_->shared_segment(), shm::SlotRole::kClient);
    if (!attached.ok()) throw std::runtime_error(describe(attached.status()));
    who.process = std::move(attached).value();
  } else {
    who.process = process_;
  }
  who.queues = std::make_unique<queues::TaskQueues>(*who.process, 0);
  who.consumer = std::make_unique<queues::Consumer>(*who.queues);
  return who;
}

void QueueWords::run(const std::string& line) {
  std::istringstream in(line);
  std::string verb, name, word;
  in >> verb >> name;
  if (verb == "expire") return (void)queues::expire_queues(*process_);
  if (verb.size() == 1) return run_consumer(who(verb), name, in);
  queues::TaskQueues queues(*process_, 0);
  if (verb == "declare") {
    queues::QueueOptions options;
    while (in >> word) {
      if (word == "max") in >> options.max_length;
      if (word == "refuse") options.drop_head = false;
      if (word == "mail") options.auto_delete = true;
      if (word == "expires") in >> options.expires_ms;
    }
    (void)queues.declare(name, options);
  } else if (verb == "push" || verb == "answer" || verb == "route") {
    uint32_t priority = 0;
    uint64_t delay_ms = 0;
    in >> word >> priority >> delay_ms;
    const uint64_t due = delay_ms == 0 ? 0 : static_cast<uint64_t>(wall_clock_ms()) + delay_ms;
    const std::string data = word[0] == '~' ? std::string(std::stoul(word.substr(1)), 'x') : word;
    if (verb == "push") {
      (void)queues.push(name, {data, priority, due});
    } else if (verb == "answer") {
      (void)queues.push_existing(name, {data, priority, due});
    } else {
      (void)queues.push_routes(name, queues.routes(name).value(), {data, priority, due});
    }
  } else if (verb == "purge") {
    (void)queues.purge(name);
  } else if (verb == "remove") {
    (void)queues.remove(name);
  } else if (verb == "revive") {
    (void)queues.revive(name);
  } else if (verb == "bind" || verb == "topic" || verb == "unbind" || verb == "untopic") {
    std::string key, pattern, queue;
    in >> key;
    if (verb.ends_with("topic")) in >> pattern;
    in >> queue;
    (void)(verb.starts_with("un") ? queues.unbind(name, key, pattern, queue) : queues.bind(name, key, pattern, queue));
  } else {
    throw std::runtime_error("no such word of a queue: " + line);
  }
}

void QueueWords::run_consumer(Who& who, const std::string& verb, std::istringstream& in) {
  queues::Consumer& consumer = *who.consumer;
  std::string name;
  size_t number = 0;
  const auto tag = [&]() -> const queues::LeaseTag& {
    in >> number;
    return tags_.at(number - 1);
  };
  if (verb == "add") {
    in >> name;
    (void)consumer.add(name, false);
  } else if (verb == "take") {
    auto taken = consumer.take();
    if (taken.ok() && taken.value()) tags_.push_back(*queues::LeaseTag::parse(taken.value()->tag));
  } else if (verb == "get") {
    in >> name;
    (void)consumer.take_from(name, true);
  } else if (verb == "ack") {
    (void)consumer.ack(tag());
  } else if (verb == "requeue" || verb == "drop") {
    (void)consumer.reject(tag(), verb == "requeue");
  } else if (verb == "listen") {
    (void)consumer.listen();
  } else if (verb == "unlisten") {
    (void)consumer.unlisten();
  } else if (verb == "sleep") {
    who.process->context().value()->asleep.fetch_add(1);
  } else if (verb == "leave") {
    in >> name;
    (void)consumer.remove(name);
  } else if (verb == "close") {
    (void)consumer.close();
  } else if (verb == "start") {
    (void)queues::start(*who.queues, tag());
  } else if (verb == "finish") {
    const queues::LeaseTag& of = tag();
    in >> name;
    (void)queues::finish(*who.queues, of, outcome_of(name));
  } else if (verb == "reap") {
    (void)queues::release_slot(*process_, who.process->slot_index(), who.process->slot_generation());
  } else {
    throw std::runtime_error("no such word of a consumer: " + verb);
  }
}

}  // namespace shoal::crash
