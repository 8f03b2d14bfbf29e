#include <unistd.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "cli/command.h"
#include "cli/serve.h"
#include "cli/serve_options.h"

namespace mayfly::cli {

void AddServeOptions(CLI::App& command, ServeOptions& options) {
  command.add_option("--port,-p", options.stack.port, "Port to listen on; 0 takes a free one")
      ->envname("PORT")
      ->check(CLI::Range(0, 65535))
      ->type_name("PORT")
      ->capture_default_str();
  command.add_option("--host", options.stack.host, "Address to listen on; 0.0.0.0 lets the whole network in")
      ->type_name("ADDRESS")
      ->capture_default_str();
  command.add_flag("--by-name", options.stack.by_name_from_anywhere,
                   "Let other machines, too, and under any Host, call functions past their triggers: "
                   "/_mayfly/functions/NAMESPACE/NAME");
  command
      .add_option(
          "--data", options.stack.data,
          "Folder in which events are kept over restarts; else one for the port and what is served, below "
          "~/.local/state/mayfly")
      ->type_name("DIR");
  command
      .add_option("--admin", options.stack.admin,
                  "Address for /metrics, /healthz and /readyz, such as 127.0.0.1:9090")
      ->type_name("ADDRESS");
  command
      .add_option_function<std::string>(
          "--log-format", [&options](const std::string& format) { options.json_logs = format == "json"; },
          "Format of log lines: logfmt or json")
      ->check(CLI::IsMember({"json", "logfmt"}))
      ->type_name("FORMAT");
}

void AddUp(CLI::App& app, Action& action) {
  CLI::App* const command = app.add_subcommand("up", "Serve the functions of a folder on this machine");
  const auto options = std::make_shared<ServeOptions>();
  options->stack.paths = {"."};
  command->add_option("PATH", options->stack.paths, "Folders with manifests (*.yaml), or single manifests")
      ->type_name("")
      ->capture_default_str();
  AddServeOptions(*command, *options);
  command->footer(
      "Examples:\n"
      "  mayfly up examples/               every function below examples/\n"
      "  PORT=9000 mayfly up               those of this folder, on another port\n"
      "  mayfly up --log-format json .     logs for a machine\n"
      "Manifests and modules are watched: what changes is served at once. Ctrl-C ends it, and everything it "
      "started.");
  command->callback([&action, options] { action = [options] { return Serve(*options); }; });
}

}  // namespace mayfly::cli
