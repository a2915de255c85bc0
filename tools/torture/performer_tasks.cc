// SPDX-License-Identifier: MIT
// Tasks: each that was pushed runs, none twice while who has it lives, none again after it was acknowledged.
#include "tools/torture/timed.h"

namespace shoal::tool::chaos {

namespace {

constexpr size_t kHeldMax = 4;

}  // namespace

void Performer::push_task() {
  const uint64_t number = actor_.task_number.fetch_add(1) + 1;
  Task& task = actor_.tasks[number % kTasks];
  const TaskState state = task.state.load();
  if (state != TaskState::kVoid && state != TaskState::kDone) return;  // still at work, or nobody knows: passed over
  const Timed timed(*this, Op::kPush);
  task.state.store(TaskState::kVoid);
  task.number.store(number);
  task.runner.store(0);
  task.runs.store(0);
  task.state.store(TaskState::kPushing);
  const uint64_t due = below(8) == 0 ? static_cast<uint64_t>(wall_clock_ms()) + below(6) : 0;
  const std::string data = speech(number_, number, kTaskBytesMax);
  const auto pushed = queues_.push(kQueue, {data, under(4), due});
  if (pushed.ok() && pushed.value() == queues::PushResult::kPushed) {
    TaskState expected = TaskState::kPushing;  // somebody may have run it already
    task.state.compare_exchange_strong(expected, TaskState::kPushed);
    return;
  }
  task.state.store(TaskState::kVoid);
  unexpected("push a task", pushed.ok() ? Status{Code::kSystem, "it was refused"} : pushed.status());
}

void Performer::take_task() {
  if (held_.size() >= kHeldMax) return answer_task();
  const Timed timed(*this, Op::kTake);
  if (!consuming_) {
    if (const Status status = consumer_->add(kQueue, false); !status.ok()) return unexpected("consume", status);
    consuming_ = true;
  }
  const auto taken = consumer_->take();
  if (!taken.ok()) return unexpected("take a task", taken.status());
  if (!taken.value()) return;
  const auto said = parse_speech(taken.value()->data, kTaskBytesMax);
  const auto tag = queues::LeaseTag::parse(taken.value()->tag);
  if (!said || said->actor >= record_.actor_count() || !tag) return lost("a torn task");
  Task& task = record_.actors[said->actor].tasks[said->number % kTasks];
  const TaskState state = task.state.load();
  if (task.number.load() != said->number || state == TaskState::kVoid || state == TaskState::kDone) {
    return lost("task %u.%lu came again after it was acknowledged", said->actor, said->number);
  }
  const uint64_t before = task.runner.exchange(me());
  const auto owner = static_cast<uint32_t>(before);
  if (before != 0 && record_.may_live(owner, before >> 32)) {
    lost("task %u.%lu runs in actors %u and %u at once", said->actor, said->number, owner, number_);
  }
  task.runs.fetch_add(1);
  held_.push_back({*tag, &task});
  if (below(3) == 0) {
    if (const auto started = queues::start(queues_, *tag); !started.ok()) {
      unexpected("start a task", started.status());
    } else if (!started.value()) {
      lost("task %u.%lu: the lease had ended before its start", said->actor, said->number);
    }
  }
}

void Performer::answer_task() {
  if (held_.empty()) return take_task();
  const Timed timed(*this, Op::kAnswer);
  const size_t which = below(held_.size());
  const Held held = held_[which];
  const TaskState state = held.task->state.load();
  const bool requeue = below(6) == 0;
  if (requeue) {
    held.task->runner.store(0);
  } else {
    held.task->state.store(TaskState::kAcking);
  }
  const auto answered = requeue ? consumer_->reject(held.tag, true) : consumer_->ack(held.tag);
  if (!answered.ok()) {
    if (requeue) held.task->runner.store(me());
    if (!requeue) held.task->state.store(state);
    return unexpected("answer a task", answered.status());
  }
  if (!answered.value()) lost("a lease ended while its owner lives");
  if (!requeue) {
    held.task->runner.store(0);
    held.task->state.store(TaskState::kDone);
  }
  held_.erase(held_.begin() + static_cast<int64_t>(which));
}

void Performer::leave() {
  const Timed timed(*this, Op::kAnswer, true);
  for (const Held& held : held_) held.task->runner.store(0);
  held_.clear();
  if (const Status status = consumer_->close(); !status.ok()) unexpected("close", status);
  subscriber_.reset();
}

}  // namespace shoal::tool::chaos
