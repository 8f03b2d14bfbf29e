// Completion scripts, made from the commands and options that the program itself parses.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "cli/command.h"
#include "cli/exit_codes.h"

namespace mayfly::cli {
namespace {

struct Flag {
  std::vector<std::string> names;  // "-d", "--data"
  std::string description;
  bool takes_value = false;
  std::vector<std::string> values;  // those that it takes, if they are few
};

// Those that CLI11 tells beside the type: "FORMAT:{json,logfmt}".
std::vector<std::string> ValuesOf(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const std::size_t begin = type.find('{');
  const std::size_t end = type.find('}', begin);
  if (begin == std::string::npos || end == std::string::npos) return {};
  return absl::StrSplit(type.substr(begin + 1, end - begin - 1), ',');
}

std::vector<Flag> FlagsOf(const CLI::App& command) {
  std::vector<Flag> flags;
  for (const CLI::Option* const option : command.get_options()) {
    Flag flag;
    for (const std::string& name : option->get_snames()) flag.names.push_back("-" + name);
    for (const std::string& name : option->get_lnames()) flag.names.push_back("--" + name);
    if (flag.names.empty()) continue;  // positional
    flag.description = option->get_description();
    flag.takes_value = option->get_items_expected_max() > 0;
    flag.values = ValuesOf(*option);
    flags.push_back(std::move(flag));
  }
  return flags;
}

std::vector<const CLI::App*> CommandsOf(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App*) { return true; });
}

std::string AllNames(const CLI::App& command) {
  std::vector<std::string> names;
  for (const Flag& flag : FlagsOf(command)) names.insert(names.end(), flag.names.begin(), flag.names.end());
  return absl::StrJoin(names, " ");
}

// The commands whose first argument is a function.
bool TakesFunction(const std::string& command) {
  return command == "get" || command == "invoke" || command == "logs" || command == "usage" ||
         command == "why";
}

constexpr char kFunctionNames[] = "mayfly get -o name 2>/dev/null";

std::string Bash(const CLI::App& app) {
  std::vector<std::string> names;
  std::string cases;
  std::string values;
  for (const CLI::App* const command : CommandsOf(app)) {
    const std::string name = command->get_name();
    names.push_back(name);
    absl::StrAppend(&cases, "    ", name, ") flags=\"", AllNames(*command), "\" ;;\n");
    for (const Flag& flag : FlagsOf(*command)) {
      if (flag.values.empty()) continue;
      std::vector<std::string> patterns;
      for (const std::string& spelling : flag.names) patterns.push_back(absl::StrCat(name, "\\ ", spelling));
      absl::StrAppend(&values, "    ", absl::StrJoin(patterns, "|"), ") values=\"",
                      absl::StrJoin(flag.values, " "), "\" ;;\n");
    }
  }
  std::vector<std::string> functions;
  for (const std::string& name : names) {
    if (TakesFunction(name)) functions.push_back(name);
  }
  return absl::StrCat(
      "# bash completion for mayfly: source <(mayfly completion bash)\n"
      "_mayfly() {\n"
      "  local current=\"${COMP_WORDS[COMP_CWORD]}\" command=\"${COMP_WORDS[1]}\" flags=\"\" values=\"\"\n"
      "  COMPREPLY=()\n"
      "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
      "    COMPREPLY=($(compgen -W \"",
      absl::StrJoin(names, " "), " ", AllNames(app),
      "\" -- \"$current\"))\n"
      "    return\n"
      "  fi\n"
      "  case \"$command ${COMP_WORDS[COMP_CWORD-1]}\" in\n",
      values,
      "  esac\n"
      "  if [ -n \"$values\" ]; then\n"
      "    COMPREPLY=($(compgen -W \"$values\" -- \"$current\"))\n"
      "    return\n"
      "  fi\n"
      "  case \"$command\" in\n",
      cases,
      "  esac\n"
      "  if [[ \"$current\" == -* ]]; then\n"
      "    COMPREPLY=($(compgen -W \"$flags\" -- \"$current\"))\n"
      "    return\n"
      "  fi\n"
      "  case \"$command\" in\n"
      "    ",
      absl::StrJoin(functions, "|"), ") COMPREPLY=($(compgen -W \"$(", kFunctionNames,
      ")\" -- \"$current\")) ;;\n"
      "    completion) COMPREPLY=($(compgen -W \"bash zsh fish\" -- \"$current\")) ;;\n"
      "    *) COMPREPLY=($(compgen -f -- \"$current\")) ;;\n"
      "  esac\n"
      "}\n"
      "complete -o filenames -F _mayfly mayfly\n");
}

// Text for the inside of single quotes, without what zsh reads in a description.
std::string ZshText(const std::string& text) {
  return absl::StrReplaceAll(text, {{"'", "'\\''"}, {"[", "("}, {"]", ")"}, {":", "\\:"}});
}

std::string Zsh(const CLI::App& app) {
  std::string commands;
  std::string cases;
  for (const CLI::App* const command : CommandsOf(app)) {
    const std::string name = command->get_name();
    absl::StrAppend(&commands, "    '", name, ":", ZshText(command->get_description()), "'\n");
    absl::StrAppend(&cases, "    ", name, ")\n      _arguments");
    for (const Flag& flag : FlagsOf(*command)) {
      for (const std::string& spelling : flag.names) {
        absl::StrAppend(&cases, " \\\n        '", spelling, "[", ZshText(flag.description), "]",
                        !flag.values.empty() ? absl::StrCat(":value:(", absl::StrJoin(flag.values, " "), ")")
                        : flag.takes_value   ? ":value:_files"
                                             : "",
                        "'");
      }
    }
    if (TakesFunction(name)) {
      absl::StrAppend(&cases, " \\\n        \"1:function:($(", kFunctionNames, "))\"");
    } else if (name == "completion") {
      absl::StrAppend(&cases, " \\\n        '1:shell:(bash zsh fish)'");
    } else {
      absl::StrAppend(&cases, " \\\n        '*:file:_files'");
    }
    absl::StrAppend(&cases, "\n      ;;\n");
  }
  return absl::StrCat(
      "#compdef mayfly\n"
      "# zsh completion for mayfly: source <(mayfly completion zsh)\n"
      "_mayfly() {\n"
      "  local -a commands\n"
      "  commands=(\n",
      commands,
      "  )\n"
      "  if (( CURRENT == 2 )); then\n"
      "    _describe 'command' commands\n"
      "    return\n"
      "  fi\n"
      "  local command=\"${words[2]}\"\n"
      "  shift words\n"
      "  (( CURRENT-- ))\n"
      "  case \"$command\" in\n",
      cases,
      "  esac\n"
      "}\n"
      "compdef _mayfly mayfly\n");
}

std::string FishText(const std::string& text) {
  return absl::StrReplaceAll(text, {{"\\", "\\\\"}, {"'", "\\'"}});
}

std::string Fish(const CLI::App& app) {
  std::string script =
      "# fish completion for mayfly: mayfly completion fish | source\n"
      "complete -c mayfly -n __fish_use_subcommand -f\n";
  for (const CLI::App* const command : CommandsOf(app)) {
    const std::string name = command->get_name();
    absl::StrAppend(&script, "complete -c mayfly -n __fish_use_subcommand -a ", name, " -d '",
                    FishText(command->get_description()), "'\n");
    const std::string when = absl::StrCat("complete -c mayfly -n '__fish_seen_subcommand_from ", name, "'");
    for (const Flag& flag : FlagsOf(*command)) {
      absl::StrAppend(&script, when);
      for (const std::string& spelling : flag.names) {
        if (spelling.starts_with("--")) {
          absl::StrAppend(&script, " -l ", spelling.substr(2));
        } else {
          absl::StrAppend(&script, " -s ", spelling.substr(1));
        }
      }
      absl::StrAppend(&script,
                      !flag.values.empty() ? absl::StrCat(" -x -a '", absl::StrJoin(flag.values, " "), "'")
                      : flag.takes_value   ? " -r"
                                           : "",
                      " -d '", FishText(flag.description), "'\n");
    }
    if (TakesFunction(name)) absl::StrAppend(&script, when, " -f -a '(", kFunctionNames, ")'\n");
    if (name == "completion") absl::StrAppend(&script, when, " -f -a 'bash zsh fish'\n");
  }
  return script;
}

int Completion(const CLI::App& app, const std::string& shell) {
  const std::string script = shell == "bash" ? Bash(app) : shell == "zsh" ? Zsh(app) : Fish(app);
  std::fputs(script.c_str(), stdout);
  return kExitOk;
}

}  // namespace

void AddCompletion(CLI::App& app, Action& action) {
  CLI::App* const command = app.add_subcommand("completion", "Print a completion script for a shell");
  const auto shell = std::make_shared<std::string>();
  command->add_option("SHELL", *shell, "bash, zsh or fish")
      ->required()
      ->type_name("")
      ->check(CLI::IsMember({"bash", "fish", "zsh"}));
  command->footer(
      "Examples:\n"
      "  source <(mayfly completion bash)\n"
      "  mayfly completion zsh > \"${fpath[1]}/_mayfly\"\n"
      "  mayfly completion fish > ~/.config/fish/completions/mayfly.fish");
  command->callback([&app, &action, shell] { action = [&app, shell] { return Completion(app, *shell); }; });
}

}  // namespace mayfly::cli
