// SPDX-License-Identifier: MIT
// A reader and a writer of one channel, in C++.
//
//   pubsub listen CHANNEL          prints the last 10 messages, then what comes; ends at a message "bye"
//   pubsub say CHANNEL TEXT...     publishes each TEXT
#include <shoal/shoal.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace {

int fail(const shoal::Status& status) {
  std::fprintf(stderr, "pubsub: %s\n", shoal::describe(status).c_str());
  return 1;
}

int listen(shoal::Client& client, std::string_view channel) {
  auto subscription = client.subscribe(channel, {.last = 10});
  if (!subscription.ok()) return fail(subscription.status());
  while (true) {
    auto message = subscription.value().next();  // sleeps
    if (!message.ok()) return fail(message.status());
    if (message.value()->gap) {
      std::printf("(some messages are gone)\n");
      continue;
    }
    std::printf("%s\n", message.value()->data.c_str());
    std::fflush(stdout);
    if (message.value()->data == "bye") return 0;
  }
}

int say(shoal::Client& client, std::string_view channel, int count, char** texts) {
  for (int i = 0; i < count; ++i) {
    auto receivers = client.publish(channel, texts[i]);
    if (!receivers.ok()) return fail(receivers.status());
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view verb = argc > 2 ? argv[1] : "";
  if (verb != "listen" && verb != "say") {
    std::fprintf(stderr, "usage: pubsub listen CHANNEL | pubsub say CHANNEL TEXT...\n");
    return 2;
  }
  const char* url = std::getenv("SHOAL_URL");
  auto client = shoal::Client::connect(url != nullptr ? url : "shoal://pubsub");
  if (!client.ok()) return fail(client.status());
  if (auto status = client.value().keep(argv[2], 100); !status.ok()) return fail(status);
  return verb == "listen" ? listen(client.value(), argv[2]) : say(client.value(), argv[2], argc - 3, argv + 3);
}
