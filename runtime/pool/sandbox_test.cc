// What user code may not do to the machine around it: one promise for each act, tried from inside a real worker.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>

#include "base/file_descriptor.h"
#include "base/testing/temp_dir.h"
#include "runtime/pool/pool_testing.h"
#include "runtime/pool/worker_pool_testing.h"

namespace mayfly::runtime {
namespace {

using testing::AnyOf;
using testing::HasSubstr;
using testing::StartsWith;

class SandboxTest : public WorkerPoolTest {
 protected:
  std::string Try(const std::string& act) {
    if (pool_ == nullptr) Open("probe");
    auto sink = Run("what=" + act);
    EXPECT_EQ(sink->result().outcome(), v1::OUTCOME_OK) << sink->result().ShortDebugString();
    return std::string(sink->body());
  }
};

struct Act {
  const char* name;
  const char* query;
};

std::string NameOf(const testing::TestParamInfo<Act>& act) { return act.param.name; }

// Acts that only an attack has a use for.
class AttackTest : public SandboxTest, public testing::WithParamInterface<Act> {};

TEST_P(AttackTest, KillsItsWorkerAndNamesTheSystemCall) {
  Open("probe");
  auto sink = Run(std::string("what=") + GetParam().query);
  EXPECT_EQ(sink->result().outcome(), v1::OUTCOME_CRASHED) << sink->body();
  EXPECT_EQ(sink->result().problem().reason(), "ForbiddenSystemCall");
  EXPECT_THAT(sink->result().problem().message(), HasSubstr("system call"));
  EXPECT_THAT(Try("ids"), StartsWith("pid="));
}

INSTANTIATE_TEST_SUITE_P(Acts, AttackTest,
                         testing::Values(Act{"Ptrace", "ptrace"}, Act{"ReadsOtherMemory", "vm_readv"},
                                         Act{"Bpf", "bpf"}, Act{"Keyctl", "keyctl"},
                                         Act{"Userfaultfd", "userfaultfd"}, Act{"PerfEvents", "perf"}),
                         NameOf);

// Acts that code may try and cope without.
class DeniedTest : public SandboxTest, public testing::WithParamInterface<Act> {};

TEST_P(DeniedTest, IsRefusedWithAnError) {
  EXPECT_THAT(Try(GetParam().query), AnyOf("EPERM", "EACCES", "ENOSYS", "ESRCH"));
}

INSTANTIATE_TEST_SUITE_P(
    Acts, DeniedTest,
    testing::Values(
        Act{"SignalsTheRuntime", "kill"}, Act{"SignalsEverything", "kill&pid=-1&signal=9"},
        Act{"ReadsTheEnvironmentOfInit", "environ"}, Act{"ReadsSecretsOfEtc", "open&path=/etc/shadow"},
        Act{"ReadsRootsHome", "open&path=/root"}, Act{"WritesToUsr", "open&path=/usr/x&mode=c"},
        Act{"WritesToTmp", "open&path=/tmp/mayfly-probe&mode=c"}, Act{"UnixSockets", "socket&domain=unix"},
        Act{"RawSockets", "socket&domain=packet"}, Act{"Namespaces", "unshare"}, Act{"Mounts", "mount"},
        Act{"Chroot", "chroot"}, Act{"Personality", "personality"}, Act{"IoUring", "io_uring"},
        Act{"OtherUsers", "setuid"}, Act{"SharedMemoryThatOutlivesIt", "shmget"},
        Act{"SharedMemoryOfOthers", "shmat"}, Act{"SemaphoresThatOutliveIt", "semget"},
        Act{"SemaphoresOfOthers", "semop"}, Act{"QueuesThatOutliveIt", "msgget"},
        Act{"QueuesOfOthers", "msgrcv"}, Act{"PosixQueues", "mq_open"}, Act{"FilesInMemoryOnly", "memfd"},
        Act{"FileWatches", "inotify"}, Act{"SchedulesTheRuntime", "scheduler"},
        Act{"SchedulesTheRuntimeByItsParameters", "sched_param"},
        Act{"SchedulesTheRuntimeByItsAttributes", "sched_attr"}, Act{"PinsTheRuntime", "affinity"},
        Act{"SlowsTheRuntimesFiles", "io_priority"}, Act{"SlowsItsUser", "nice_user"},
        Act{"SlowsItsUsersFiles", "io_priority_user"}),
    NameOf);

TEST_F(SandboxTest, HasNothingOpenButItsChannelAndItsLog) {
  const std::string links = Try("fd_links");
  for (const char* theirs : {"socket:", "/tmp/", "memfd", "epoll", "pidfd"}) {
    EXPECT_THAT(links, testing::Not(HasSubstr(theirs)));
  }
}

TEST_F(SandboxTest, MayConnectToTheNetwork) {
  const base::FileDescriptor listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  ASSERT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(listener.get(), 1), 0);
  ASSERT_EQ(getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  EXPECT_EQ(Try("tcp&port=" + std::to_string(ntohs(address.sin_port))), "ok");
}

TEST_F(SandboxTest, CannotReadTheKeyOfTheRuntime) {
  // Where the key may be: in a folder of its own, as a Secret is mounted, and in memory of the runtime.
  const base::TempDir tls;
  std::ofstream(tls / "tls.key") << "secret";
  EXPECT_THAT(Try("open&path=" + (tls / "tls.key")), AnyOf("EACCES", "EPERM"));
  EXPECT_THAT(Try("open&path=/proc/" + std::to_string(getpid()) + "/fd/0"), AnyOf("EACCES", "EPERM"));
}

TEST_F(SandboxTest, MayPinItself) { EXPECT_EQ(Try("affinity_own"), "ok"); }

TEST_F(SandboxTest, MayStartProgramsOfTheSystem) {
  EXPECT_EQ(Try("exec"), "ok");
  EXPECT_EQ(Try("exec&path=/bin/sh"), "ok");
}

TEST_F(SandboxTest, MayUseItsTemporaryFolderAndRunNothingFromIt) {
  EXPECT_EQ(Try("temporary"), "written, EACCES");
}

TEST_F(SandboxTest, IsBoundByLimitsThatItCannotRaise) {
  const std::string limits = Try("limits");
  EXPECT_THAT(limits, HasSubstr("nofile=4096 "));
  EXPECT_THAT(limits, HasSubstr("core=0"));
  EXPECT_EQ(Try("raise_limit"), "EPERM");
}

}  // namespace
}  // namespace mayfly::runtime
