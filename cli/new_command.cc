#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "cli/command.h"
#include "cli/embedded.h"
#include "cli/exit_codes.h"
#include "cli/terminal.h"

namespace mayfly::cli {
namespace {

namespace fs = std::filesystem;

struct NewOptions {
  std::string name;
  std::string language = "cpp";
  std::string folder;
};

bool IsName(const std::string& name) {
  constexpr std::size_t kLongest = 63;
  if (name.empty() || name.size() > kLongest || name.front() == '-' || name.back() == '-') return false;
  for (const char c : name) {
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-')) return false;
  }
  return name.front() < '0' || name.front() > '9';
}

int New(const NewOptions& options) {
  if (!IsName(options.name)) {
    return Fail(
        absl::StrCat(
            "\"", options.name,
            "\" cannot be a function's name: use lower-case letters, digits and \"-\", beginning with "
            "a letter, at most 63"),
        kExitUsage);
  }
  const fs::path folder = options.folder.empty() ? fs::path(options.name) : fs::path(options.folder);
  std::error_code error;
  if (fs::exists(folder, error) && (!fs::is_directory(folder, error) || !fs::is_empty(folder, error))) {
    return Fail(
        absl::StrCat(folder.string(), " exists already and is not empty: choose another name, or --dir"));
  }
  const std::string snake = absl::StrReplaceAll(options.name, {{"-", "_"}});
  const std::map<std::string, std::string> sources = {
      {"c", options.name + ".c"}, {"cpp", options.name + ".cc"}, {"rust", "src/lib.rs"}};
  const auto fill = [&](std::string_view text) {
    return absl::StrReplaceAll(
        std::string(text),
        {{"@NAME@", options.name}, {"@SNAKE_NAME@", snake}, {"@SOURCE@", sources.at(options.language)}});
  };
  const std::string prefix = options.language + "/";
  for (const EmbeddedFile& file : TemplateFiles()) {
    if (!file.path.starts_with(prefix)) continue;
    std::string name = fill(file.path.substr(prefix.size()));
    if (name == "gitignore") name = ".gitignore";
    const fs::path path = folder / name;
    fs::create_directories(path.parent_path(), error);
    std::ofstream out(path, std::ios::binary);
    out << fill(file.content);
    out.close();
    if (!out) return Fail(absl::StrCat("cannot write ", path.string()));
  }
  std::printf("made %s\n\n  cd %s\n  mayfly dev\n", folder.c_str(), ShellQuote(folder.string()).c_str());
  return kExitOk;
}

}  // namespace

void AddNew(CLI::App& app, Action& action) {
  CLI::App* const command = app.add_subcommand("new", "Make a function's project from a template");
  const auto options = std::make_shared<NewOptions>();
  command->add_option("NAME", options->name, "The function's name")->required()->type_name("");
  command->add_option("--lang,-l", options->language, "Language: cpp, c or rust")
      ->check(CLI::IsMember({"c", "cpp", "rust"}))
      ->type_name("LANGUAGE")
      ->capture_default_str();
  command->add_option("--dir", options->folder, "Folder to make it in; NAME by default")->type_name("DIR");
  command->footer(
      "Examples:\n"
      "  mayfly new greeter                 C++, in greeter/\n"
      "  mayfly new greeter --lang rust\n"
      "  cd greeter && mayfly dev           serves it, and builds it again on every change");
  command->callback([&action, options] { action = [options] { return New(*options); }; });
}

}  // namespace mayfly::cli
