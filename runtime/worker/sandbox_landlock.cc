#include "runtime/worker/sandbox_landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace mayfly::worker {
namespace {

// linux/landlock.h of ABI 6; the build machine's may be older.
struct RulesetAttributes {
  std::uint64_t handled_access_fs;
  std::uint64_t handled_access_net;
  std::uint64_t scoped;
};
struct [[gnu::packed]] PathBeneath {
  std::uint64_t allowed_access;
  std::int32_t parent_fd;
};
constexpr int kRulePathBeneath = 1;
constexpr unsigned kCreateVersion = 1;

constexpr std::uint64_t kExecute = 1u << 0;
constexpr std::uint64_t kWriteFile = 1u << 1;
constexpr std::uint64_t kReadFile = 1u << 2;
constexpr std::uint64_t kReadFolder = 1u << 3;
constexpr std::uint64_t kAbi1 = (1u << 13) - 1;
constexpr std::uint64_t kRefer = 1u << 13;          // ABI 2
constexpr std::uint64_t kTruncate = 1u << 14;       // ABI 3
constexpr std::uint64_t kDeviceControl = 1u << 15;  // ABI 5
constexpr std::uint64_t kScopes = 3;                // ABI 6: abstract sockets, signals
constexpr std::uint64_t kMakeDevices = (1u << 6) | (1u << 11);

constexpr std::uint64_t kRead = kExecute | kReadFile | kReadFolder;
// Of the rights above, those that a file can have; a rule on a file with others is refused.
constexpr std::uint64_t kOfFiles = kExecute | kWriteFile | kReadFile | kTruncate | kDeviceControl;

constexpr const char* kReadable[] = {
    "/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/opt", "/srv", "/mnt", "/media", "/data", "/models",
    "/proc", "/sys/devices/system", "/sys/fs/cgroup",
    // Of /etc what libraries look up; not its secrets.
    "/etc/alternatives", "/etc/ca-certificates", "/etc/fonts", "/etc/gai.conf", "/etc/group",
    "/etc/host.conf", "/etc/hosts", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d",
    "/etc/ld.so.preload", "/etc/localtime", "/etc/magic", "/etc/mime.types", "/etc/nsswitch.conf",
    "/etc/os-release", "/etc/passwd", "/etc/pki", "/etc/protocols", "/etc/resolv.conf", "/etc/services",
    "/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/timezone", "/run/systemd/resolve/resolv.conf",
    "/run/systemd/resolve/stub-resolv.conf"};
constexpr const char* kDevices[] = {"/dev/null",   "/dev/zero",    "/dev/full",
                                    "/dev/random", "/dev/urandom", "/dev/tty"};

int Abi() { return static_cast<int>(syscall(SYS_landlock_create_ruleset, nullptr, 0, kCreateVersion)); }

void Allow(int ruleset, const char* path, std::uint64_t access) {
  const int fd = open(path, O_PATH | O_CLOEXEC);
  if (fd < 0) return;  // what is not there needs no rule
  struct stat info;
  if (fstat(fd, &info) == 0) {
    PathBeneath rule{S_ISDIR(info.st_mode) ? access : access & kOfFiles, fd};
    syscall(SYS_landlock_add_rule, ruleset, kRulePathBeneath, &rule, 0);
  }
  close(fd);
}

}  // namespace

void RestrictFiles(const std::string& module_path, const std::string& temporary_folder, std::string& note) {
  const int abi = Abi();
  if (abi < 1) {
    note =
        "this kernel has no Landlock: user code may read and write what its user may, and signal its "
        "processes";
    return;
  }
  RulesetAttributes attributes{kAbi1, 0, 0};
  if (abi >= 2) attributes.handled_access_fs |= kRefer;
  if (abi >= 3) attributes.handled_access_fs |= kTruncate;
  if (abi >= 5) attributes.handled_access_fs |= kDeviceControl;
  if (abi >= 6) {
    attributes.scoped = kScopes;
  } else {
    note = "this kernel's Landlock has no scopes: user code may signal processes of its user";
  }
  const std::size_t size = abi >= 6 ? sizeof(attributes) : abi >= 4 ? 16 : 8;
  const int ruleset = static_cast<int>(syscall(SYS_landlock_create_ruleset, &attributes, size, 0));
  if (ruleset < 0) {
    note = std::string("Landlock refuses its rules: ") + strerror(errno);
    return;
  }
  for (const char* path : kReadable) Allow(ruleset, path, kRead);
  const std::uint64_t device =
      kReadFile | kWriteFile | (attributes.handled_access_fs & (kTruncate | kDeviceControl));
  for (const char* path : kDevices) Allow(ruleset, path, device);
  const std::size_t slash = module_path.rfind('/');
  Allow(ruleset, slash == std::string::npos ? "." : module_path.substr(0, slash + 1).c_str(), kRead);
  // Nothing is executed from where user code may write.
  Allow(ruleset, temporary_folder.c_str(), attributes.handled_access_fs & ~(kExecute | kMakeDevices));
  if (syscall(SYS_landlock_restrict_self, ruleset, 0) != 0) {
    note = std::string("Landlock cannot be entered: ") + strerror(errno);
  }
  close(ruleset);
}

void RestrictSignals() {
  if (Abi() < 6) return;
  const RulesetAttributes attributes{0, 0, kScopes};
  const int ruleset =
      static_cast<int>(syscall(SYS_landlock_create_ruleset, &attributes, sizeof(attributes), 0));
  if (ruleset < 0) return;
  syscall(SYS_landlock_restrict_self, ruleset, 0);
  close(ruleset);
}

}  // namespace mayfly::worker
