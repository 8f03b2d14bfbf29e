// The commands of `mayfly`: one file each, which declares its options and says what running it does.
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace mayfly::cli {

// What the parsed command line asks for; returns the exit code (see exit_codes.h).
using Action = std::function<int()>;

// Each adds its command to `app`; parsing it sets `action`. `action` must outlive the parsing.
void AddBuild(CLI::App& app, Action& action);
void AddCompletion(CLI::App& app, Action& action);
void AddDev(CLI::App& app, Action& action);
void AddDlq(CLI::App& app, Action& action);
void AddEvents(CLI::App& app, Action& action);
void AddGet(CLI::App& app, Action& action);
void AddHelp(CLI::App& app, Action& action);
void AddInvoke(CLI::App& app, Action& action);
void AddLogs(CLI::App& app, Action& action);
void AddNew(CLI::App& app, Action& action);
void AddReplay(CLI::App& app, Action& action);
void AddSimulate(CLI::App& app, Action& action);
void AddTop(CLI::App& app, Action& action);
void AddTrigger(CLI::App& app, Action& action);
void AddUp(CLI::App& app, Action& action);
void AddUsage(CLI::App& app, Action& action);
void AddVersion(CLI::App& app, Action& action);
void AddWhy(CLI::App& app, Action& action);

// All of them, in the order in which a newcomer meets them.
void AddCommands(CLI::App& app, Action& action);

}  // namespace mayfly::cli
