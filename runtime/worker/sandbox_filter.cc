#include "runtime/worker/sandbox_filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <utility>

#include "runtime/ipc/layout.h"

namespace mayfly::worker {
namespace {

#if defined(__x86_64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#else
#error "no seccomp filter for this architecture yet"
#endif

constexpr std::uint32_t kAllow = SECCOMP_RET_ALLOW;
constexpr std::uint32_t kTrap = SECCOMP_RET_TRAP;
constexpr std::uint32_t Errno(int error) { return SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(error); }
constexpr std::uint32_t kPretend = SECCOMP_RET_ERRNO;  // returns 0 and does nothing

// Any namespace, or becoming a sibling of this process: a child that its waits and its group would not find.
constexpr std::uint32_t kForbiddenCloneFlags = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                               CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_PARENT;

// What setpriority and ioprio_set call all processes of a user; 0 is the caller's own.
constexpr std::uint32_t kPriorityOfUser = 2;
constexpr std::uint32_t kIoPriorityOfUser = 3;

constexpr int kAttacks[] = {
    SYS_ptrace,          SYS_process_vm_readv, SYS_process_vm_writev, SYS_bpf,
    SYS_keyctl,          SYS_add_key,          SYS_request_key,       SYS_kexec_load,
    SYS_init_module,     SYS_finit_module,     SYS_delete_module,     SYS_reboot,
    SYS_perf_event_open, SYS_userfaultfd,      SYS_open_by_handle_at, SYS_pidfd_getfd,
};

constexpr int kRefused[] = {
    // To take the real user id that processes are counted by back.
    SYS_setuid,
    SYS_setreuid,
    SYS_setresuid,
    SYS_setsid,
    SYS_setpgid,
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_chroot,
    SYS_unshare,
    SYS_setns,
    SYS_swapon,
    SYS_swapoff,
    SYS_acct,
    SYS_quotactl,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_clock_adjtime,
    SYS_adjtimex,
    SYS_sethostname,
    SYS_setdomainname,
    SYS_syslog,
    SYS_vhangup,
    SYS_kcmp,
    SYS_move_pages,
    SYS_migrate_pages,
    SYS_fanotify_init,
    // A user has few of them, and one handler could take all.
    SYS_inotify_init1,
    // System V and POSIX IPC: it outlives its process, is in no limit, and other processes of the user find it.
    SYS_shmget,
    SYS_shmat,
    SYS_shmctl,
    SYS_semget,
    SYS_semop,
    SYS_semtimedop,
    SYS_semctl,
    SYS_msgget,
    SYS_msgsnd,
    SYS_msgrcv,
    SYS_msgctl,
    SYS_mq_open,
    SYS_mq_unlink,
    // Files in memory that nothing counts, unless they are mapped.
    SYS_memfd_create,
#if defined(SYS_memfd_secret)
    SYS_memfd_secret,
#endif
    SYS_name_to_handle_at,
    SYS_fsopen,
    SYS_fsconfig,
    SYS_fsmount,
    SYS_fspick,
    SYS_move_mount,
    SYS_open_tree,
    SYS_personality,
    SYS_process_madvise,
#if defined(SYS_mount_setattr)
    SYS_mount_setattr,
#endif
#if defined(SYS_kexec_file_load)
    SYS_kexec_file_load,
#endif
#if defined(SYS_inotify_init)
    SYS_inotify_init,
#endif
#if defined(SYS_iopl)
    SYS_iopl,
    SYS_ioperm,
#endif
};

constexpr int kUnknown[] = {SYS_clone3, SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register};

// Puts a filter together. A rule is a block that the next system call's number skips.
class Builder {
 public:
  void Load(std::size_t offset) {
    code_.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset)));
  }
  void LoadNumber() { Load(offsetof(seccomp_data, nr)); }
  // The low half of an argument: all that the arguments looked at here mean.
  void LoadArgument(unsigned index) { Load(offsetof(seccomp_data, args) + index * sizeof(std::uint64_t)); }
  void Mask(std::uint32_t bits) { code_.push_back(BPF_STMT(BPF_ALU | BPF_AND | BPF_K, bits)); }
  void Return(std::uint32_t action) { code_.push_back(BPF_STMT(BPF_RET | BPF_K, action)); }
  // If the accumulator compares so, goes on; else skips the next `skip` instructions.
  void If(std::uint16_t comparison, std::uint32_t value, std::uint8_t skip) {
    code_.push_back(BPF_JUMP(static_cast<std::uint16_t>(BPF_JMP | comparison | BPF_K), value, 0, skip));
  }
  void Unless(std::uint16_t comparison, std::uint32_t value, std::uint8_t skip) {
    code_.push_back(BPF_JUMP(static_cast<std::uint16_t>(BPF_JMP | comparison | BPF_K), value, skip, 0));
  }
  template <typename Body>
  void ForCall(long number, const Body& body) {
    If(BPF_JEQ, static_cast<std::uint32_t>(number), 0);
    const std::size_t jump = code_.size() - 1;
    body();
    Return(kAllow);
    code_[jump].jf = static_cast<std::uint8_t>(code_.size() - jump - 1);
  }
  void Deny(int number, std::uint32_t action) {
    If(BPF_JEQ, static_cast<std::uint32_t>(number), 1);
    Return(action);
  }
  std::vector<sock_filter> Take() { return std::move(code_); }

 private:
  std::vector<sock_filter> code_;
};

void ProtectDescriptors(Builder& filter) {
  filter.ForCall(SYS_close, [&] {
    filter.LoadArgument(0);
    filter.If(BPF_JGE, ipc::kFirstKeptFd, 2);
    filter.Unless(BPF_JGT, ipc::kLastKeptFd, 1);
    filter.Return(kPretend);
  });
  const auto protect_target = [&] {
    filter.LoadArgument(1);
    filter.If(BPF_JGE, ipc::kFirstKeptFd, 2);
    filter.Unless(BPF_JGT, ipc::kLastKeptFd, 1);
    filter.Return(Errno(EBADF));
  };
#if defined(SYS_dup2)
  filter.ForCall(SYS_dup2, protect_target);
#endif
  filter.ForCall(SYS_dup3, protect_target);
  // Refusing it would send closefrom() into an endless loop of trying.
  filter.ForCall(SYS_close_range, [&] {
    filter.LoadArgument(0);
    filter.Unless(BPF_JGT, ipc::kLastKeptFd, 3);
    filter.LoadArgument(1);
    filter.If(BPF_JGE, ipc::kFirstKeptFd, 1);
    filter.Return(kPretend);
  });
}

void RestrictProcesses(Builder& filter) {
  filter.ForCall(SYS_clone, [&] {
    filter.LoadArgument(0);
    filter.If(BPF_JSET, kForbiddenCloneFlags, 1);
    filter.Return(Errno(EPERM));
  });
  filter.ForCall(SYS_kill, [&] {
    filter.LoadArgument(0);
    filter.If(BPF_JEQ, static_cast<std::uint32_t>(-1), 1);
    filter.Return(Errno(EPERM));
  });
  // Limits, priority and processors of other processes: the runtime has the same user. A thread may change its own, which
  // is 0 here; its number is not known when the filter is made.
  filter.ForCall(SYS_prlimit64, [&] {
    filter.LoadArgument(0);
    filter.Unless(BPF_JEQ, 0, 1);
    filter.Return(Errno(EPERM));
  });
  for (const int number :
       {SYS_sched_setscheduler, SYS_sched_setparam, SYS_sched_setattr, SYS_sched_setaffinity}) {
    filter.ForCall(number, [&] {
      filter.LoadArgument(0);
      filter.Unless(BPF_JEQ, 0, 1);
      filter.Return(Errno(EPERM));
    });
  }
  for (const auto& [number, of_user] :
       {std::pair{SYS_setpriority, kPriorityOfUser}, {SYS_ioprio_set, kIoPriorityOfUser}}) {
    filter.ForCall(number, [&, whose = of_user] {
      filter.LoadArgument(0);
      filter.If(BPF_JEQ, whose, 1);
      filter.Return(Errno(EPERM));
      filter.LoadArgument(1);
      filter.Unless(BPF_JEQ, 0, 1);
      filter.Return(Errno(EPERM));
    });
  }
  // A worker ties itself to the runtime and to its descendants after the filter is there; nobody may undo it.
  filter.ForCall(SYS_prctl, [&] {
    filter.LoadArgument(0);
    filter.If(BPF_JEQ, PR_SET_PDEATHSIG, 3);
    filter.LoadArgument(1);
    filter.Unless(BPF_JEQ, SIGKILL, 1);
    filter.Return(Errno(EPERM));
    filter.LoadArgument(0);
    filter.If(BPF_JEQ, PR_SET_CHILD_SUBREAPER, 3);
    filter.LoadArgument(1);
    filter.Unless(BPF_JEQ, 1, 1);
    filter.Return(Errno(EPERM));
  });
}

void RestrictSockets(Builder& filter) {
  filter.ForCall(SYS_socket, [&] {
    filter.LoadArgument(0);
    // The runtime's own socket is a path that the same user may connect to; socketpair() is still there.
    filter.If(BPF_JEQ, AF_UNIX, 1);
    filter.Return(Errno(EACCES));
    filter.If(BPF_JEQ, AF_NETLINK, 4);
    filter.LoadArgument(2);
    filter.If(BPF_JEQ, 0, 1);  // NETLINK_ROUTE: getaddrinfo asks it
    filter.Return(kAllow);
    filter.Return(Errno(EPERM));
    filter.Unless(BPF_JEQ, AF_INET, 2);
    filter.Unless(BPF_JEQ, AF_INET6, 1);
    filter.Return(Errno(EPERM));
    filter.LoadArgument(1);
    filter.Mask(0xf);
    filter.If(BPF_JEQ, SOCK_RAW, 1);
    filter.Return(Errno(EPERM));
  });
  filter.ForCall(SYS_ioctl, [&] {
    filter.LoadArgument(1);
    filter.If(BPF_JEQ, TIOCSTI, 1);
    filter.Return(Errno(EPERM));
  });
}

}  // namespace

std::vector<sock_filter> BuildFilter() {
  Builder filter;
  filter.Load(offsetof(seccomp_data, arch));
  filter.Unless(BPF_JEQ, kArchitecture, 1);
  filter.Return(SECCOMP_RET_KILL_PROCESS);
  filter.LoadNumber();
#if defined(__x86_64__)
  // The x32 calls, under which everything below has another number.
  filter.If(BPF_JGE, 0x40000000, 1);
  filter.Return(Errno(ENOSYS));
#endif
  ProtectDescriptors(filter);
  RestrictProcesses(filter);
  RestrictSockets(filter);
  for (const int number : kAttacks) filter.Deny(number, kTrap);
  for (const int number : kRefused) filter.Deny(number, Errno(EPERM));
  for (const int number : kUnknown) filter.Deny(number, Errno(ENOSYS));
  filter.Return(kAllow);
  return filter.Take();
}

bool LoadFilter(std::string& problem) {
  std::vector<sock_filter> code = BuildFilter();
  sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0) return true;
  problem = std::string("cannot load the seccomp filter: ") + strerror(errno);
  return false;
}

}  // namespace mayfly::worker
