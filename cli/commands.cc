#include "cli/command.h"

namespace mayfly::cli {

void AddCommands(CLI::App& app, Action& action) {
  AddUp(app, action);
  AddDev(app, action);
  AddNew(app, action);
  AddBuild(app, action);
  AddInvoke(app, action);
  AddGet(app, action);
  AddTop(app, action);
  AddUsage(app, action);
  AddWhy(app, action);
  AddLogs(app, action);
  AddTrigger(app, action);
  AddEvents(app, action);
  AddDlq(app, action);
  AddReplay(app, action);
  AddSimulate(app, action);
  AddVersion(app, action);
  AddCompletion(app, action);
  AddHelp(app, action);
}

}  // namespace mayfly::cli
