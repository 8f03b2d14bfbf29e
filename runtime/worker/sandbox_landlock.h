// What user code may do with files, and whom it may signal: Landlock.
//
// Read and execute: the system's libraries, programs and public configuration, the module's own folder, and
// the folders where data is usually mounted. Write: only the replica's own temporary folder and the harmless
// devices. Signals and abstract sockets: only its own processes. A kernel that knows less gets what it knows.
#pragma once

#include <string>

namespace mayfly::worker {

// For the process that maps the module and all that come of it. `note` is what could not be had, if anything.
void RestrictFiles(const std::string& module_path, const std::string& temporary_folder, std::string& note);

// For one worker: it may not signal its siblings or the fork server. Nothing happens on kernels without it.
void RestrictSignals();

}  // namespace mayfly::worker
