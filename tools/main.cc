// SPDX-License-Identifier: MIT
// shoal: what there is to see and to tidy up on this host. Exit codes: 0 done, 1 a check failed or the action was
// refused,
// 2 wrong usage, 3 there is no such segment or it cannot be read.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "segment/url.h"
#include "tools/actions.h"
#include "tools/torture/torture.h"
#include "tools/views.h"

namespace {

using namespace shoal;
using namespace shoal::tool;

struct Arguments {
  bool json = false, force = false, dry_run = false, markdown = false;
  std::string name, part;
  TortureOptions torture;
};

constexpr int kRefused = 1, kUnreadable = 3;

int fail(const Status& status) {
  std::fprintf(stderr, "shoal: %s\n", describe(status).c_str());
  return status.code() == Code::kBusy || status.code() == Code::kInvalidArgument ? kRefused : kUnreadable;
}

int show(const Arguments& arguments, const Json& document) {
  std::fputs((arguments.json ? for_programs(document) : for_people(document)).c_str(), stdout);
  return 0;
}

int inspect(const Arguments& arguments) {
  if (arguments.name == "layout" && arguments.part.empty()) {
    if (arguments.json) return show(arguments, layout_document());
    std::fputs(layout_text().c_str(), stdout);
    return 0;
  }
  auto url = SegmentUrl::parse(arguments.name);
  if (!url.ok()) return fail(url.status());
  auto view = SegmentView::open(url.value().name);
  if (!view.ok()) return fail(view.status());
  show(arguments, inspect_view(view.value(), arguments.part));
  return view.value().problem() ? kUnreadable : 0;
}

int commands(const Arguments& arguments) {
  if (!arguments.markdown) return show(arguments, commands_document());
  std::fputs(commands_markdown().c_str(), stdout);
  return 0;
}

int with_name(const Arguments& arguments, Result<Json> (*action)(const SegmentName&, bool)) {
  auto url = SegmentUrl::parse(arguments.name);
  if (!url.ok()) return fail(url.status());
  auto result = action(url.value().name, arguments.force);
  if (!result.ok()) return fail(result.status());
  show(arguments, result.value());
  return result.value().value("ok", true) ? 0 : kRefused;
}

int collect(const Arguments& arguments) {
  if (arguments.name.empty()) return show(arguments, collect_garbage(arguments.dry_run, ""));
  auto url = SegmentUrl::parse(arguments.name);
  if (!url.ok()) return fail(url.status());
  return show(arguments, collect_garbage(arguments.dry_run, url.value().name.name()));
}

// A line a second for whoever watches; with --json standard output is the document's alone.
int run_torture(Arguments& arguments) {
  std::FILE* said = arguments.json ? stderr : stdout;
  if (::isatty(::fileno(said)) == 1) {
    arguments.torture.progress = [said](const std::string& line) {
      std::fprintf(said, "%s\n", line.c_str());
      std::fflush(said);
    };
  }
  auto result = torture(arguments.torture);
  if (!result.ok()) return fail(result.status());
  show(arguments, result.value());
  return result.value().value("ok", false) ? 0 : kRefused;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Shoal's tool: looks into segments, checks them, tidies up. NAME may also be a URL shoal://NAME.",
               "shoal");
  app.set_version_flag("--version", SHOAL_VERSION);
  app.require_subcommand(1);
  app.fallthrough();
  Arguments arguments;
  app.add_flag("--json", arguments.json, "print a document for programs");

  auto* ls = app.add_subcommand("ls", "list the segments of this host");
  auto* inspect_verb =
      app.add_subcommand("inspect", "show what is in a segment; `inspect layout` prints the map of any segment");
  inspect_verb->add_option("NAME", arguments.name, "the segment")->required();
  inspect_verb->add_option("PART", arguments.part, "only this part")->check(CLI::IsMember(inspect_parts()));
  auto* commands_verb = app.add_subcommand("commands", "list the commands that Shoal answers");
  commands_verb->add_flag("--markdown", arguments.markdown, "as the tables of docs/COMMANDS.md");
  auto* check = app.add_subcommand("check", "verify every invariant: each block free or reachable exactly once");
  check->add_option("NAME", arguments.name, "the segment")->required();
  auto* repair = app.add_subcommand(
      "repair", "allow again what was refused because it killed three processes, if the segment is sound");
  repair->add_option("NAME", arguments.name, "the segment")->required();
  repair->add_flag("--force,-f", arguments.force, "even if `check` finds it damaged");
  auto* gc = app.add_subcommand("gc", "remove what the dead left: slots of dead processes, FIFOs, runtime directories");
  gc->add_option("NAME", arguments.name, "only of this segment");
  gc->add_flag("--dry-run,-n", arguments.dry_run, "only say what would be removed");
  auto* rm = app.add_subcommand("rm", "remove a segment with everything in it");
  rm->add_option("NAME", arguments.name, "the segment")->required();
  rm->add_flag("--force,-f", arguments.force, "even while processes use it; they get errors from then on");

  auto* torture_verb = app.add_subcommand(
      "torture", "work, kill and check on a segment of its own: does this machine lose, hang or leak anything?");
  torture_verb->add_option("NAME", arguments.torture.name, "of the segment; must be new (default: torture-PID)");
  torture_verb->add_option("--seconds", arguments.torture.seconds, "how long")
      ->check(CLI::Range(1, 7 * 24 * 3600))
      ->capture_default_str();
  torture_verb->add_option("--workers", arguments.torture.workers, "processes (default: two a processor)")
      ->check(CLI::Range(1, 32));
  torture_verb->add_option("--seed", arguments.torture.seed, "of the random choices (default: drawn, and printed)");
  torture_verb
      ->add_option("--max-size", arguments.torture.max_size,
                   "of the segment; if /dev/shm has less left, that becomes full (default: three quarters of it, at "
                   "most 48MB)")
      ->transform(CLI::AsSizeValue(false));
  torture_verb->add_flag("--keep", arguments.torture.keep, "leave the segment, to look into it");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (*ls) return show(arguments, list_segments());
  if (*inspect_verb) return inspect(arguments);
  if (*commands_verb) return commands(arguments);
  if (*check) return with_name(arguments, check_segment);
  if (*repair) return with_name(arguments, repair_segment);
  if (*gc) return collect(arguments);
  if (*torture_verb) return run_torture(arguments);
  return with_name(arguments, remove_segment);
}
