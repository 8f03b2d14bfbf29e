// mayfly-symbolizer: says which functions the frames of a crash are in. Started by mayfly-runtime, once per crash,
// so that the runtime itself never reads a module's debug information; see protocol.h.
//
//   mayfly-symbolizer MODULE < question > answer
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/symbolizer/module_symbols.h"
#include "runtime/symbolizer/protocol.h"
#include "runtime/symbolizer/sandbox.h"

namespace {

using namespace mayfly::symbolizer;

std::string ReadQuestion() {
  std::string text(kMaxQuestionBytes, '\0');
  std::size_t held = 0;
  while (held < text.size()) {
    const ssize_t size = read(STDIN_FILENO, text.data() + held, text.size() - held);
    if (size <= 0) break;
    held += static_cast<std::size_t>(size);
  }
  text.resize(held);
  return text;
}

// Only regular files are opened for reading: opening another may already do something.
int OpenRegularFile(const std::string& path) {
  const int place = open(path.c_str(), O_PATH | O_CLOEXEC | O_NOFOLLOW);
  if (place < 0) return -1;
  struct stat info;
  int fd = -1;
  if (fstat(place, &info) == 0 && S_ISREG(info.st_mode)) {
    fd = open(("/proc/self/fd/" + std::to_string(place)).c_str(), O_RDONLY | O_CLOEXEC);
  }
  close(place);
  return fd;
}

bool WriteAll(const std::string& text) {
  std::size_t written = 0;
  while (written < text.size()) {
    const ssize_t size = write(STDOUT_FILENO, text.data() + written, text.size() - written);
    if (size <= 0) return false;
    written += static_cast<std::size_t>(size);
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2 || isatty(STDIN_FILENO) != 0) {
    fputs("mayfly-symbolizer is started by mayfly-runtime, not by people.\n", stderr);
    return 2;
  }
  LimitSelf(argv[1]);
  const std::vector<FileOffset> frames = ParseQuestion(ReadQuestion());
  std::map<std::string, int> files;
  for (const FileOffset& frame : frames) {
    if (frame.path.empty() || frame.path[0] != '/' || files.contains(frame.path)) continue;
    files[frame.path] = OpenRegularFile(frame.path);
  }
  if (!CloseSandbox()) return 1;
  std::map<std::string, std::unique_ptr<ModuleSymbols>> modules;
  std::size_t answers = 0;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    const auto file = files.find(frames[i].path);
    if (file == files.end() || file->second < 0) continue;
    std::unique_ptr<ModuleSymbols>& module = modules[file->first];
    if (module == nullptr) module = std::make_unique<ModuleSymbols>(file->second);
    for (const std::string& text : module->Describe(frames[i].offset)) {
      // Each at once: if the next frame takes too long, this one has been told.
      if (++answers > kMaxAnswers || !WriteAll(WriteAnswer({i, text}))) _exit(1);
    }
  }
  // The kernel tidies up faster.
  _exit(0);
}
