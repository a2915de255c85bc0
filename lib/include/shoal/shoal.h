// SPDX-License-Identifier: MIT
// shoal.h: start here. Redis's data types for the processes of one host, in shared memory, without a server.
//
//   #include <shoal/shoal.h>
//
//   auto client = shoal::Client::connect("shoal://app");
//   if (!client.ok()) { std::cerr << shoal::describe(client.status()); return 1; }
//   shoal::Client& r = client.value();
//   (void)r.set("greeting", "hello");
//   auto value = r.get("greeting");                           // Result<std::optional<std::string>>
//   auto pushed = r.command({"LPUSH", "jobs", "one", "two"});  // every command of docs/COMMANDS.md
//
// Thread safety: a Client is for one thread at a time; make one a thread (they share the mapping). After fork the child
// goes on with its copy and attaches by itself. Link against shoal_client.
#pragma once

#include "shoal/client.h"
#include "shoal/status.h"
