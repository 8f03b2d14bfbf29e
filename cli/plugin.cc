#include "cli/plugin.h"

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "cli/call.h"
#include "cli/cluster.h"
#include "cli/command.h"
#include "cli/exit_codes.h"
#include "cli/function_table.h"
#include "cli/in_cluster.h"
#include "cli/terminal.h"
#include "cli/top.h"
#include "cli/usage.h"
#include "cli/usage_table.h"

namespace mayfly::cli {
namespace {

// Runs `what` in the cluster that the flags name.
int In(const ClusterFlags& flags, const std::function<absl::StatusOr<int>(const Cluster&)>& what) {
  const absl::StatusOr<std::unique_ptr<Cluster>> cluster = Cluster::Open(flags);
  if (!cluster.ok()) return Fail(cluster.status(), kExitNothingRuns);
  const absl::StatusOr<int> code = what(**cluster);
  if (code.ok()) return *code;
  if (absl::IsNotFound(code.status())) return Fail(code.status(), kExitNotFound);
  return Fail(code.status(), absl::IsUnavailable(code.status()) || absl::IsDeadlineExceeded(code.status())
                                 ? kExitNothingRuns
                                 : kExitFailed);
}

struct GetOptions {
  std::string name;
  ShowOptions show;
};

absl::StatusOr<int> Get(const Cluster& cluster, const ClusterFlags& flags, GetOptions options) {
  options.show.space = flags.all_spaces ? "" : SpaceOf(cluster, options.name);
  const auto read = [&] {
    return options.name.empty() ? ListFunctions(cluster, flags.all_spaces ? "" : cluster.space())
                                : ReadFunction(cluster, options.name);
  };
  const absl::Status status = PrintFunctions(read, options.show, std::chrono::seconds(1));
  if (!status.ok()) return status;
  return kExitOk;
}

void AddGet(CLI::App& app, Action& action, const std::shared_ptr<ClusterFlags>& flags) {
  CLI::App* const command = app.add_subcommand("get", "List functions with what they have used, or show one");
  const auto options = std::make_shared<GetOptions>();
  command->add_option("NAME", options->name, "A function: name or namespace/name")->type_name("");
  AddShowOptions(*command, options->show);
  command->add_flag("-A,--all-namespaces", flags->all_spaces, "Those of every namespace");
  command->callback([&action, flags, options] {
    action = [flags, options] {
      return In(*flags, [&](const Cluster& cluster) { return Get(cluster, *flags, *options); });
    };
  });
}

void AddLogs(CLI::App& app, Action& action, const std::shared_ptr<ClusterFlags>& flags) {
  CLI::App* const command = app.add_subcommand("logs", "Show what a function's pods wrote");
  const auto options = std::make_shared<LogsRequest>();
  command->add_option("NAME", options->name, "The function: name or namespace/name")
      ->required()
      ->type_name("");
  command->add_flag("-f,--follow", options->follow,
                    "Go on with what comes, of pods that come too, until Ctrl-C");
  command->add_option("--tail", options->tail, "How many of the newest lines of each pod to begin with")
      ->check(CLI::Range(0, 100'000))
      ->type_name("N")
      ->capture_default_str();
  command->add_flag("--prefix", options->prefix, "Begin each line with the pod that wrote it");
  command->callback([&action, flags, options] {
    action = [flags, options] {
      return In(*flags, [&](const Cluster& cluster) { return ShowLogs(cluster, *options); });
    };
  });
}

struct InvokeOptions : CallOptions {
  std::string name;
};

absl::StatusOr<int> Invoke(const Cluster& cluster, const InvokeOptions& options) {
  const absl::StatusOr<std::string> path = PathOfFunction(cluster, options.name, options.path);
  if (!path.ok()) return path.status();
  Cluster::Call call;
  call.method = MethodOf(options);
  call.path = *path;
  call.timeout = std::chrono::seconds(options.timeout_seconds);
  call.headers.emplace_back("Mayfly-Metering", "true");
  if (options.has_body) {
    absl::StatusOr<std::string> body = ReadBody(options.body);
    if (!body.ok()) return body.status();
    call.body = *std::move(body);
  }
  for (const std::string& text : options.headers) {
    const auto header = ParseHeader(text);
    if (!header.ok()) return Fail(header.status(), kExitUsage);
    call.headers.push_back(*header);
  }
  const auto start = std::chrono::steady_clock::now();
  absl::StatusOr<Cluster::Answer> answer = cluster.Send(call);
  if (!answer.ok()) return answer.status();
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
  BodyPrinter printer;
  printer.Write(answer->body);
  printer.Finish();
  return TellOutcome(
      {.status = answer->status, .headers = std::move(answer->headers), .body = std::move(answer->body)},
      took.count(), options.quiet);
}

void AddInvoke(CLI::App& app, Action& action, const std::shared_ptr<ClusterFlags>& flags) {
  CLI::App* const command =
      app.add_subcommand("invoke", "Call a function through the API server, and see what that cost");
  const auto options = std::make_shared<InvokeOptions>();
  command->add_option("NAME", options->name, "The function: name or namespace/name")
      ->required()
      ->type_name("");
  AddCallOptions(*command, options);
  command->callback([&action, flags, options] {
    action = [flags, options] {
      return In(*flags, [&](const Cluster& cluster) { return Invoke(cluster, *options); });
    };
  });
}

void AddTop(CLI::App& app, Action& action, const std::shared_ptr<ClusterFlags>& flags) {
  CLI::App* const command = app.add_subcommand("top", "Show what functions do just now, the busiest first");
  const auto options = std::make_shared<TopOptions>();
  AddTopOptions(*command, *options);
  command->add_flag("-A,--all-namespaces", flags->all_spaces, "Those of every namespace");
  command->footer(
      "It reads the metrics of operators and gateways through the API server: that needs `get` on "
      "pods/proxy.");
  command->callback([&action, flags, options] {
    action = [flags, options] {
      return In(*flags, [&](const Cluster& cluster) -> absl::StatusOr<int> {
        const std::string space = flags->all_spaces ? "" : cluster.space();
        options->space = space;
        const absl::Status status = ShowTop([&] { return LookAtCluster(cluster, space); }, *options);
        if (!status.ok()) return status;
        return kExitOk;
      });
    };
  });
}

struct UsageOptions {
  std::string name;
  std::string by = "function";
  std::string output = "table";
};

void AddUsage(CLI::App& app, Action& action, const std::shared_ptr<ClusterFlags>& flags) {
  CLI::App* const command =
      app.add_subcommand("usage", "Add up what functions have used since they were made");
  const auto options = std::make_shared<UsageOptions>();
  command->add_option("NAME", options->name, "A function: name or namespace/name; default: all")
      ->type_name("");
  command->add_option("--by", options->by, "One row for each function or namespace")
      ->check(CLI::IsMember({"function", "namespace"}))
      ->type_name("WHAT")
      ->capture_default_str();
  command->add_option("-o,--output", options->output, "table or json")
      ->check(CLI::IsMember({"json", "table"}))
      ->type_name("FORMAT")
      ->capture_default_str();
  command->add_flag("-A,--all-namespaces", flags->all_spaces, "Those of every namespace");
  command->footer(
      "From the functions' status, which is written every 30 s at most. By trigger and since when, the "
      "gateways' usage\n"
      "records know: mayfly usage --records PATH.");
  command->callback([&action, flags, options] {
    action = [flags, options] {
      return In(*flags, [&](const Cluster& cluster) -> absl::StatusOr<int> {
        UsageTableOptions of;
        of.by = options->by == "function" ? UsageBy::kFunction : UsageBy::kNamespace;
        UsageTable table(of);
        const std::string space = flags->all_spaces ? "" : cluster.space();
        if (const absl::Status status = AddUsageOf(cluster, space, options->name, table); !status.ok())
          return status;
        std::fputs(table.Show(options->output).c_str(), stdout);
        return kExitOk;
      });
    };
  });
}

void AddWhy(CLI::App& app, Action& action, const std::shared_ptr<ClusterFlags>& flags) {
  CLI::App* const command = app.add_subcommand(
      "why", "Say why a function is as it is: conditions, scaling, what failed last, events");
  const auto name = std::make_shared<std::string>();
  command->add_option("NAME", *name, "The function: name or namespace/name")->required()->type_name("");
  command->callback([&action, flags, name] {
    action = [flags, name] {
      return In(*flags, [&](const Cluster& cluster) -> absl::StatusOr<int> {
        const absl::StatusOr<std::string> text = Why(cluster, *name);
        if (!text.ok()) return text.status();
        std::fputs(text->c_str(), stdout);
        return kExitOk;
      });
    };
  });
}

}  // namespace

bool IsPlugin(std::string_view program) {
  const std::string_view name = program.substr(program.rfind('/') + 1);
  return absl::StartsWith(absl::string_view(name.data(), name.size()), "kubectl-mayfly");
}

int RunPlugin(int argc, char** argv) {
  CLI::App app("Functions of a cluster: what they use, say and answer.", "kubectl mayfly");
  app.require_subcommand(0, 1);
  app.fallthrough();  // kubectl takes its flags before and after the verb
  app.set_version_flag("--version", "mayfly " MAYFLY_VERSION);
  const auto flags = std::make_shared<ClusterFlags>();
  app.add_option("-n,--namespace", flags->space, "The functions' namespace; default: the context's")
      ->type_name("NAME");
  app.add_option("--context", flags->context, "The context of the kubeconfig to use")->type_name("NAME");
  app.add_option("--kubeconfig", flags->kubeconfig, "The kubeconfig; default: $KUBECONFIG, ~/.kube/config")
      ->type_name("FILE");
  app.footer(
      "Examples:\n"
      "  kubectl mayfly get -A\n"
      "  kubectl mayfly invoke hello --path '?name=Ada'\n"
      "  kubectl mayfly logs hello -f --prefix\n"
      "  kubectl mayfly top\n"
      "  kubectl mayfly usage --by namespace -A\n"
      "  kubectl mayfly why hello\n"
      "kubectl itself does the rest: apply, delete, describe fn, scale fn, explain fn.spec, get fn -w.");
  Action action;
  AddGet(app, action, flags);
  AddInvoke(app, action, flags);
  AddLogs(app, action, flags);
  AddTop(app, action, flags);
  AddUsage(app, action, flags);
  AddWhy(app, action, flags);
  AddVersion(app, action);
  return ParseAndRun(app, action, argc, argv);
}

}  // namespace mayfly::cli
