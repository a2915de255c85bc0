// SPDX-License-Identifier: MIT
// Channels: a publisher's messages come in order, whole, each once or counted as lost, across the deaths of both sides.
#include "tools/torture/timed.h"

namespace shoal::tool::chaos {

void Performer::publish() {
  const uint32_t channel = under(kChannels);
  Pair& published = actor_.published[channel];
  const Timed timed(*this, Op::kPublish);
  published.tried.fetch_add(1);
  const std::string text = speech(number_, in_this_life(published.tried.load()), kMessageMax);
  settle_answer(published, talk_({"PUBLISH", channel_name(channel), text}), "publish");
}

// Each channel from where this seat's last one was killed.
bool Performer::subscribe() {
  auto subscriber = std::make_unique<channels::Subscriber>(process_);
  for (uint32_t channel = 0; channel < kChannels; ++channel) {
    channels::Start start;
    start.since = channels::Position{record_.incarnation[channel], actor_.heard[channel].load()};
    bool fresh = false;
    const Status status =
        subscriber->subscribe(channels::ChannelKind::kChannel, channel_name(channel), start, kLockBudgetNs, fresh);
    if (!status.ok()) {
      unexpected("subscribe", status);
      return false;
    }
    resumed_[channel] = true;
  }
  subscriber_ = std::move(subscriber);
  return true;
}

void Performer::hear() {
  const bool waits = below(6) == 0;
  const Timed timed(*this, Op::kHear, waits);
  if (subscriber_ == nullptr && !subscribe()) return;
  size_t given = 0;
  const Status status = subscriber_->read(
      20, [](void* with, const channels::Delivery& delivery) { static_cast<Performer*>(with)->heard(delivery); }, this,
      given);
  if (!status.ok()) return unexpected("hear", status);
  bool something = false;
  if (waits && given == 0) (void)subscriber_->wait(1'000'000, something);
  if (below(200) == 0) subscriber_.reset();
}

void Performer::hear_all() {
  const Timed timed(*this, Op::kHear, true);
  if (subscriber_ == nullptr && !subscribe()) return;
  for (size_t given = 1; given > 0;) {
    const Status status = subscriber_->read(
        100, [](void* with, const channels::Delivery& delivery) { static_cast<Performer*>(with)->heard(delivery); },
        this, given);
    if (!status.ok()) return unexpected("hear", status);
  }
}

void Performer::heard(const channels::Delivery& delivery) {
  uint32_t channel = 0;
  while (channel < kChannels && delivery.source != channel_name(channel)) ++channel;
  if (channel == kChannels) return lost("a message of a channel that nobody asked for");
  const uint64_t last = actor_.heard[channel].load(), sequence = delivery.position.sequence;
  const bool resumed = std::exchange(resumed_[channel], false);
  if (delivery.kind == channels::Delivery::Kind::kGap) {
    if (!delivery.lost || sequence != last + *delivery.lost) {
      lost("room %u: a gap of %ld up to %lu, behind %lu", channel,
           delivery.lost ? static_cast<int64_t>(*delivery.lost) : -1, sequence, last);
    }
    return actor_.heard[channel].store(sequence);
  }
  if (sequence != last + 1) lost("room %u: message %lu comes behind %lu", channel, sequence, last);
  const auto said = parse_speech(delivery.data, kMessageMax);
  if (!said || (said->actor >= record_.actor_count() && said->actor != kActorsMax)) {
    lost("room %u: a torn message: %.60s", channel, std::string(delivery.data).c_str());
  } else if (said->actor < record_.actor_count()) {
    auto& before = actor_.heard_of[channel][said->actor];
    const uint64_t latest = before.load();
    const bool same_life = said->number >> 32 == latest >> 32;
    // It may have been killed between the two stores below.
    if (same_life && (said->number < latest || (said->number == latest && !resumed))) {
      lost("room %u: message %lu of actor %u behind its %lu", channel, said->number, said->actor, latest);
    }
    before.store(std::max(latest, said->number));
  }
  actor_.heard[channel].store(sequence);
}

}  // namespace shoal::tool::chaos
