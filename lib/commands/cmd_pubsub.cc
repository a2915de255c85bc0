// SPDX-License-Identifier: MIT
// cmd_pubsub.cc: PUBLISH and the questions of PUBSUB. Subscribing is not a command of a session here: a subscriber is
// an object with a cursor of its own (channels/subscriber.h).
#include "commands/cmd_pubsub.h"

#include <string>

#include "base/glob.h"
#include "channels/outbox.h"
#include "channels/subscription.h"
#include "commands/command.h"
#include "commands/session.h"
#include "types/dict.h"

namespace shoal {

namespace {

using channels::ChannelKind;

void answer(Call& call, const Status& status, uint64_t receivers) {
  switch (status.code()) {
    case Code::kOk:
      return call.reply().integer(static_cast<int64_t>(receivers));
    case Code::kFull: {
      const std::string text = status.text();
      return call.error(text.starts_with("OOM") ? text : "OOM " + text);
    }
    case Code::kRedisError:
      return call.error(status.number() == 0
                            ? status.text()
                            : std::string(status.text()) + ": at most " + std::to_string(status.number()) + " bytes");
    default:
      call.session().fail(status);
  }
}

template <typename Visit>
void for_each_channel(const Segment& segment, Visit&& visit) {
  for (uint32_t shard = 0; shard < segment.shard_count(); ++shard) {
    Dict::for_each(segment, segment.shard(shard).channels, [&](uint64_t item) {
      const auto& channel = *segment.pointer<shm::Channel>(item);
      if (!channel.is_pattern()) visit(channel);
    });
  }
}

}  // namespace

uint64_t publish_shards(const Segment& segment, std::span<const Bytes> arguments, uint32_t) noexcept {
  return channels::outbox_shards(segment, arguments[1]);
}

void cmd_publish(Call& call) {
  Session& session = call.session();
  if (session.runs_atomically()) {  // leaves with the commit
    uint64_t receivers = 0;
    const Status status = channels::post(call.tx(), call.arg(1), call.arg(2), receivers);
    return answer(call, status, receivers);
  }
  auto context = session.process().context();
  if (!context.ok()) return answer(call, context.status(), 0);
  channels::Published published;
  const Status status =
      channels::publish(session.process(), *context.value(), call.arg(1), call.arg(2), session.budget_ns(), published);
  answer(call, status, published.receivers);
}

void cmd_pubsub_channels(Call& call) {
  if (call.argc() > 3)
    return call.error("ERR unknown subcommand or wrong number of arguments for '" + std::string(call.arg(1)) +
                      "'. Try PUBSUB HELP.");
  Reply& reply = call.reply();
  const size_t mark = reply.begin(Reply::Tag::kArray);
  uint32_t count = 0;
  for_each_channel(call.segment(), [&](const shm::Channel& channel) {
    if (call.argc() > 2 && !glob_match(call.arg(2), channel.name())) return;
    if (channels::count_subscribers(call.segment(), channel) == 0) return;  // only a history
    reply.bulk(channel.name());
    ++count;
  });
  reply.end(mark, count);
}

void cmd_pubsub_numpat(Call& call) {
  int64_t count = 0;
  const Segment& segment = call.segment();
  for (uint64_t next = segment.header().patterns; next != 0; next = segment.pointer<shm::Channel>(next)->next_pattern)
    ++count;
  call.reply().integer(count);
}

void cmd_pubsub_numsub(Call& call) {
  const Segment& segment = call.segment();
  call.reply().array(static_cast<uint32_t>((call.argc() - 2) * 2));
  for (size_t i = 2; i < call.argc(); ++i) {
    const auto name = channels::name_of(segment, ChannelKind::kChannel, call.arg(i));
    const shm::Channel* channel = channels::find(segment, name);
    call.reply().bulk(call.arg(i));
    call.reply().integer(channel == nullptr ? 0 : static_cast<int64_t>(channels::count_subscribers(segment, *channel)));
  }
}

}  // namespace shoal
