// Starting processes that cannot outlive this one.
//
// A child gets SIGKILL when the *thread* that started it ends (PR_SET_PDEATHSIG), so it must be started by a
// thread that lives as long as the child should. It leads a session and process group of its own: a Ctrl-C at
// the terminal reaches its parent only, and one kill reaches what it started. It inherits nothing but the
// descriptors it is given and the environment it is given, with default signal handling.
//
// Children that are started here are remembered until they are reaped. Once AdoptOrphans() was called, every
// other child of this process is somebody's orphan (a handler's daemon whose runtime was killed), and
// KillOrphans() ends it.
//
// Thread-safe.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/file_descriptor.h"
#include "base/status.h"

namespace mayfly::op {

struct ChildOptions {
  std::string program;                   // path
  std::vector<std::string> arguments;    // without argv[0]
  std::vector<std::string> environment;  // NAME=VALUE
  std::string folder;                    // working directory; "" for this process's
  int output = -1;                       // becomes stdout and stderr
  int ready = -1;                        // becomes descriptor 3, if given
  bool own_session = true;               // false: stays in this process's, so that Ctrl-C reaches it too
};

struct Child {
  pid_t pid = -1;
  base::FileDescriptor pidfd;
};

// How a child ended.
struct ChildExit {
  int code = 0;
  int signal = 0;  // 0 if it exited by itself
  // "ended with exit code 1", "was killed by SIGSEGV (Segmentation fault)".
  std::string Sentence() const;
};

// The descriptor that `ChildOptions::ready` becomes.
inline constexpr int kReadyDescriptor = 3;

absl::StatusOr<Child> StartChild(const ChildOptions& options);

// Kills what is left of the child's process group, and reaps the child.
// REQUIRES: the child has ended (its pidfd is readable).
ChildExit ReapChild(const Child& child);

// From now on, processes whose parent dies become children of this process rather than of init.
void AdoptOrphans();
// Kills and reaps every child that StartChild() did not start. Without effect unless AdoptOrphans() was
// called.
void KillOrphans();

// Kills the process group of every child that StartChild() made and nobody reaped yet, and reaps none: for an end at
// once.
void KillChildren();

// This process's PATH, HOME, LANG, TMPDIR, TZ and sanitizer options: what a child may know of its
// environment.
std::vector<std::string> CleanEnvironment();

}  // namespace mayfly::op
