// Tries what `?what=NAME` says and answers "ok" or the errno's name ("EPERM"): the worker's sandbox from
// inside.
//
//   open        open(?path=…) for reading; ?mode=w for writing (no O_CREAT), ?mode=c to create. "ok: N
//   bytes…" when read environ     open /proc/1/environ ptrace      PTRACE_ATTACH to the parent, or to ?pid=N
//   kill        signal ?signal=N (0) to the parent, or to ?pid=N
//   vm_readv    process_vm_readv from the parent, or from ?pid=N
//   socket      socket(?domain=inet|inet6|unix|packet|netlink)
//   tcp         connect to 127.0.0.1:?port=N
//   unix        connect to the socket ?path=…
//   exec        fork and execve ?path=… (/bin/true); answers the exit status of the child
//   unshare     a new user namespace
//   shmget, semget, msgget, mq_open, shmat, semop, msgrcv
//   inotify     inotify_init1
//   scheduler, sched_param, sched_attr, affinity, io_priority   of the parent, or of ?pid=N
//   nice_user, io_priority_user   of all processes of this user
//   affinity_own   of this thread
//   mount, bpf, keyctl, setuid, io_uring, userfaultfd, perf, memfd, chroot, personality
//   fds         the descriptors that are open, as "0 1 2"
//   fd_links    the same with what each is, "0:/dev/null 1:…"
//   temporary   writes a program to its temporary folder and runs it: "written, " and the errno's name
//   raise_limit RLIMIT_NOFILE above its hard limit
//   ids         "pid ppid uid no_new_privs seccomp_mode"
//   limits      rlimits "nofile=… nproc=… fsize=… as=… core=…"
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "test_module.h"

static int answer(mayfly_response* response, long result) {
  if (result < 0) return reply_text(response, "%s", strerrorname_np(errno));
  return reply_text(response, "ok");
}

static int try_open(const mayfly_event* event, mayfly_response* response, const char* path) {
  const char* mode = query_text(event, "mode", "r");
  int flags = mode[0] == 'w' ? O_WRONLY : mode[0] == 'c' ? O_WRONLY | O_CREAT : O_RDONLY;
  int fd = open(path, flags | O_CLOEXEC, 0600);
  if (fd < 0) return answer(response, -1);
  if (flags != O_RDONLY) {
    close(fd);
    return answer(response, 0);
  }
  char content[4096];
  ssize_t size = read(fd, content, sizeof(content));
  int error = errno;
  close(fd);
  errno = error;
  if (size < 0) return answer(response, -1);
  return reply_text(response, "ok: %zd bytes: %.*s", size, (int)size, content);
}

static int try_connect(mayfly_response* response, const struct sockaddr* address, socklen_t size) {
  int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return answer(response, -1);
  int result = connect(fd, address, size);
  int error = errno;
  close(fd);
  errno = error;
  return answer(response, result);
}

static int try_socket(mayfly_response* response, const char* domain) {
  int number = strcmp(domain, "inet6") == 0     ? AF_INET6
               : strcmp(domain, "unix") == 0    ? AF_UNIX
               : strcmp(domain, "packet") == 0  ? AF_PACKET
               : strcmp(domain, "netlink") == 0 ? AF_NETLINK
                                                : AF_INET;
  int fd = socket(number, number == AF_PACKET || number == AF_NETLINK ? SOCK_RAW : SOCK_STREAM, 0);
  if (fd >= 0) close(fd);
  return answer(response, fd);
}

static int try_exec(mayfly_response* response, const char* path) {
  pid_t child = fork();
  if (child < 0) return answer(response, -1);
  if (child == 0) {
    char* arguments[] = {(char*)(size_t)path, NULL};
    char* environment[] = {NULL};
    execve(path, arguments, environment);
    _exit(errno);
  }
  int status = 0;
  if (waitpid(child, &status, 0) < 0) return answer(response, -1);
  if (!WIFEXITED(status)) return reply_text(response, "signal %d", WTERMSIG(status));
  errno = WEXITSTATUS(status);
  return answer(response, errno ? -1 : 0);
}

static int list_fds(mayfly_response* response, int links) {
  static char out[32768];
  size_t used = 0;
  for (int fd = 0; fd < 4096 && used < sizeof(out) - 600; fd++) {
    if (fcntl(fd, F_GETFD) < 0) continue;
    char link[64], target[512] = "";
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t size = links ? readlink(link, target, sizeof(target) - 1) : 0;
    if (size < 0) size = snprintf(target, sizeof(target), "(%s)", strerrorname_np(errno));
    used += (size_t)snprintf(out + used, sizeof(out) - used, "%s%d%s%.*s", used ? " " : "", fd,
                             links ? ":" : "", (int)size, target);
  }
  out[used] = 0;
  return reply_text(response, "%s", out);
}

static int show_limits(mayfly_response* response) {
  const struct {
    const char* name;
    int number;
  } limits[] = {{"nofile", RLIMIT_NOFILE},
                {"nproc", RLIMIT_NPROC},
                {"fsize", RLIMIT_FSIZE},
                {"as", RLIMIT_AS},
                {"core", RLIMIT_CORE}};
  char out[512] = "";
  for (unsigned n = 0; n < sizeof(limits) / sizeof(limits[0]); n++) {
    struct rlimit limit;
    getrlimit((__rlimit_resource_t)limits[n].number, &limit);
    size_t used = strlen(out);
    snprintf(out + used, sizeof(out) - used, "%s%s=%lld", used ? " " : "", limits[n].name,
             (long long)limit.rlim_cur);
  }
  return reply_text(response, "%s", out);
}

// Copies /bin/true, since a text file would be refused for another reason.
static int try_temporary(mayfly_response* response) {
  char path[600], bytes[65536];
  snprintf(path, sizeof(path), "%s/program", getenv("TMPDIR"));
  int from = open("/bin/true", O_RDONLY | O_CLOEXEC);
  int to = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
  if (from < 0 || to < 0) return answer(response, -1);
  ssize_t size;
  while ((size = read(from, bytes, sizeof(bytes))) > 0) {
    if (write(to, bytes, (size_t)size) != size) return answer(response, -1);
  }
  close(from);
  close(to);
  char* arguments[] = {path, NULL};
  pid_t child = fork();
  if (child == 0) {
    execve(path, arguments, arguments + 1);
    _exit(errno);
  }
  int status = 0;
  waitpid(child, &status, 0);
  unlink(path);
  return reply_text(response, "written, %s",
                    WIFEXITED(status) && WEXITSTATUS(status) ? strerrorname_np(WEXITSTATUS(status)) : "run");
}

static int raise_limit(mayfly_response* response) {
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_max++;
  return answer(response, setrlimit(RLIMIT_NOFILE, &limit));
}

static int try_scheduling(mayfly_response* response, const char* what, pid_t pid) {
  struct sched_param parameters = {.sched_priority = 0};
  cpu_set_t processors;
  sched_getaffinity(0, sizeof(processors), &processors);
  struct {
    unsigned size, policy;
    unsigned long flags;
    int nice;
    unsigned priority;
    unsigned long runtime, deadline, period;
  } attributes = {.size = 48, .policy = SCHED_IDLE};
  const long io_idle = 3 << 13;
  if (strcmp(what, "scheduler") == 0)
    return answer(response, sched_setscheduler(pid, SCHED_IDLE, &parameters));
  if (strcmp(what, "sched_param") == 0) return answer(response, sched_setparam(pid, &parameters));
  if (strcmp(what, "sched_attr") == 0)
    return answer(response, syscall(SYS_sched_setattr, pid, &attributes, 0));
  if (strcmp(what, "affinity") == 0)
    return answer(response, sched_setaffinity(pid, sizeof(processors), &processors));
  if (strcmp(what, "affinity_own") == 0)
    return answer(response, sched_setaffinity(0, sizeof(processors), &processors));
  if (strcmp(what, "nice_user") == 0) return answer(response, setpriority(PRIO_USER, 0, 19));
  if (strcmp(what, "io_priority_user") == 0) return answer(response, syscall(SYS_ioprio_set, 3, 0, io_idle));
  return answer(response, syscall(SYS_ioprio_set, 1, pid, io_idle));
}

static int try_ipc(mayfly_response* response, const char* what) {
  char message[64];
  struct sembuf operation = {0};
  if (strcmp(what, "shmget") == 0) return answer(response, shmget(IPC_PRIVATE, 4096, 0600));
  if (strcmp(what, "semget") == 0) return answer(response, semget(IPC_PRIVATE, 1, 0600));
  if (strcmp(what, "msgget") == 0) return answer(response, msgget(IPC_PRIVATE, 0600));
  if (strcmp(what, "shmat") == 0) return answer(response, shmat(0, NULL, 0) == (void*)-1 ? -1 : 0);
  if (strcmp(what, "semop") == 0) return answer(response, semop(0, &operation, 1));
  if (strcmp(what, "msgrcv") == 0) return answer(response, msgrcv(0, message, 8, 0, IPC_NOWAIT));
  return answer(response, mq_open("/mayfly-probe", O_RDWR | O_CREAT, 0600, NULL));
}

static int handle(void* instance, const mayfly_event* event, mayfly_response* response) {
  (void)instance;
  const char* what = query_text(event, "what", "ids");
  const char* path = query_text(event, "path", "");
  pid_t pid = (pid_t)query_number(event, "pid", getppid());
  char page[64];
  if (strcmp(what, "open") == 0) return try_open(event, response, path);
  if (strcmp(what, "environ") == 0) return try_open(event, response, "/proc/1/environ");
  if (strcmp(what, "ptrace") == 0) return answer(response, ptrace(PTRACE_ATTACH, pid, NULL, NULL));
  if (strcmp(what, "kill") == 0) return answer(response, kill(pid, (int)query_number(event, "signal", 0)));
  if (strcmp(what, "vm_readv") == 0) {
    struct iovec local = {page, sizeof(page)};
    struct iovec remote = {(void*)(size_t)event, sizeof(page)};
    return answer(response, process_vm_readv(pid, &local, 1, &remote, 1, 0));
  }
  if (strcmp(what, "socket") == 0) return try_socket(response, query_text(event, "domain", "inet"));
  if (strcmp(what, "tcp") == 0) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)query_number(event, "port", 80)),
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
    return try_connect(response, (const struct sockaddr*)&address, sizeof(address));
  }
  if (strcmp(what, "unix") == 0) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    return try_connect(response, (const struct sockaddr*)&address, sizeof(address));
  }
  if (strcmp(what, "exec") == 0) return try_exec(response, path[0] ? path : "/bin/true");
  if (strcmp(what, "unshare") == 0) return answer(response, unshare(CLONE_NEWUSER));
  for (const char* const* name =
           (const char*[]){"scheduler", "sched_param", "sched_attr", "affinity", "affinity_own", "nice_user",
                           "io_priority", "io_priority_user", NULL};
       *name; name++) {
    if (strcmp(what, *name) == 0) return try_scheduling(response, what, pid);
  }
  for (const char* const* name =
           (const char*[]){"shmget", "semget", "msgget", "mq_open", "shmat", "semop", "msgrcv", NULL};
       *name; name++) {
    if (strcmp(what, *name) == 0) return try_ipc(response, what);
  }
  if (strcmp(what, "inotify") == 0) return answer(response, inotify_init1(IN_CLOEXEC));
  if (strcmp(what, "mount") == 0) return answer(response, mount("none", "/tmp", "tmpfs", 0, ""));
  if (strcmp(what, "bpf") == 0) return answer(response, syscall(SYS_bpf, BPF_MAP_CREATE, page, 0));
  if (strcmp(what, "keyctl") == 0) return answer(response, syscall(SYS_keyctl, 0, -3, 0));
  if (strcmp(what, "setuid") == 0) return answer(response, setuid(0));
  if (strcmp(what, "io_uring") == 0) return answer(response, syscall(SYS_io_uring_setup, 4, page));
  if (strcmp(what, "userfaultfd") == 0) return answer(response, syscall(SYS_userfaultfd, 0));
  if (strcmp(what, "perf") == 0) return answer(response, syscall(SYS_perf_event_open, page, 0, -1, -1, 0));
  if (strcmp(what, "memfd") == 0) return answer(response, memfd_create("probe", MFD_CLOEXEC));
  if (strcmp(what, "chroot") == 0) return answer(response, chroot("/"));
  if (strcmp(what, "personality") == 0) return answer(response, personality(ADDR_NO_RANDOMIZE));
  if (strcmp(what, "fds") == 0) return list_fds(response, 0);
  if (strcmp(what, "fd_links") == 0) return list_fds(response, 1);
  if (strcmp(what, "limits") == 0) return show_limits(response);
  if (strcmp(what, "temporary") == 0) return try_temporary(response);
  if (strcmp(what, "raise_limit") == 0) return raise_limit(response);
  if (strcmp(what, "ids") == 0) {
    return reply_text(response, "pid=%d ppid=%d uid=%d no_new_privs=%d seccomp=%d", (int)getpid(),
                      (int)getppid(), (int)getuid(), prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0),
                      prctl(PR_GET_SECCOMP, 0, 0, 0, 0));
  }
  return reply_text(response, "unknown probe: %s", what);
}

TEST_MODULE(NULL, NULL, handle, NULL, 0);
