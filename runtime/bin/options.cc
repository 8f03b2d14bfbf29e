#include "runtime/bin/options.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <CLI/CLI.hpp>

#include "base/beside_this.h"

namespace mayfly::runtime {
namespace {

// What is wrong with it; "" if nothing is.
std::string IsJson(const std::string& text) {
  google::protobuf::Value value;
  const auto status = google::protobuf::util::JsonStringToMessage(text, &value);
  return status.ok() ? "" : "is no JSON: " + std::string(status.message());
}

}  // namespace

std::optional<int> ParseOptions(int argc, char** argv, Options& options) {
  CLI::App app(
      "Runs one Mayfly function in worker processes. Commanded by an operator over gRPC (mayfly.v1.Runtime); "
      "by hand:\n"
      "  mayfly-runtime --listen 127.0.0.1:9000 --state-dir /tmp/mayfly --module ./libhello.so\n"
      "  grpcurl -plaintext -d '{\"body\": \"aGk=\"}' 127.0.0.1:9000 mayfly.v1.Runtime/Invoke");
  options.worker = base::BesideThis("mayfly-worker");
  options.symbolizer = base::BesideThis("mayfly-symbolizer");
  options.fetcher = base::BesideThis("mayfly-fetch");
  std::uint64_t drain_seconds = 0;
  v1::LoadRequest load;
  std::string module, handler, config, function = "default/local";
  std::uint32_t concurrency = 1;

  app.add_option("--listen", options.listen, "Where to answer: HOST:PORT or unix:/path")
      ->capture_default_str();
  app.add_option("--admin", options.admin,
                 "Where /metrics, /healthz and /readyz are: HOST:PORT or unix:/path");
  app.add_option("--state-dir", options.state_dir,
                 "Folder of this runtime's own, for copies of modules and its workers' TMPDIR")
      ->capture_default_str();
  app.add_option(
      "--tls", options.tls,
      "Folder of tls.crt, tls.key and ca.crt: take the operator and gateways with certificates, nobody else");
  app.add_option("--worker", options.worker, "The worker program (default: mayfly-worker beside this one)");
  app.add_option(
      "--symbolizer", options.symbolizer,
      "The program that names functions in backtraces (default: mayfly-symbolizer beside this one)");
  app.add_option(
      "--fetcher", options.fetcher,
      "The program that fetches modules from URLs and out of images (default: mayfly-fetch beside this one)");
  app.add_option(
      "--module-cache", options.module_cache,
      "Folder of fetched modules, which runtimes of one user may share (default: one in --state-dir)");
  app.add_option("--module-cache-bytes", options.module_cache_bytes, "What it may keep")
      ->capture_default_str();
  app.add_option(
      "--artifact-credentials", options.artifact_credentials,
      "Folder with a file for each setting of fetches, as a mounted Secret has them: token, username, "
      "password, ca.crt, AWS_ACCESS_KEY_ID …");
  app.add_option("--log-level", options.log_level, "debug, info, warn or error")
      ->transform(CLI::CheckedTransformer(base::log::LevelNames()));
  app.add_option("--log-format", options.log_format, "logfmt or json")
      ->transform(CLI::CheckedTransformer(base::log::FormatNames()));
  CLI::Option* drain =
      app.add_option("--drain-timeout", drain_seconds,
                     "Seconds that SIGTERM leaves to what runs (default: the function's timeout and 5)");
  app.add_option("--ready-fd", options.ready_fd, "Write a byte to this descriptor once calls are answered");
  app.add_flag("--spare-worker", options.spare_worker,
               "Start a process for the first module before it is known: for a runtime that waits in a pool")
      ->envname("MAYFLY_SPARE_WORKER");
  app.add_flag("--parent-death", options.parent_death, "Die with the process that started this one");
  CLI::Option* with_module = app.add_option("--module", module, "Load this .so at once");
  app.add_option("--handler", handler, "Its handler, if it has several")->needs(with_module);
  app.add_option("--config", config, "JSON for its create()")->needs(with_module)->check(IsJson, "JSON");
  app.add_option("--function", function, "Its name in logs and metrics, NAMESPACE/NAME")->needs(with_module);
  app.add_option("--concurrency", concurrency, "Its slots")->needs(with_module);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error);
  }
  if (drain->count() > 0) options.drain_timeout = std::chrono::seconds(drain_seconds);
  if (with_module->count() > 0) {
    load.set_path(module);
    load.set_handler(handler);
    load.set_config_json(config);
    load.set_function(function);
    load.set_revision("command-line");
    load.set_concurrency(concurrency);
    options.load = load;
  }
  return std::nullopt;
}

}  // namespace mayfly::runtime
