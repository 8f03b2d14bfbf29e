#include "base/line_sink.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace mayfly::base {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;
using ::testing::ElementsAre;

std::string Tell(std::uint64_t dropped) { return "dropped " + std::to_string(dropped); }

// A pipe or a pair of sockets, whose far end the test reads.
struct Ends {
  explicit Ends(bool sockets = false) {
    int fds[2] = {-1, -1};
    EXPECT_EQ(sockets ? ::socketpair(AF_UNIX, SOCK_STREAM, 0, fds) : ::pipe(fds), 0);
    far.Reset(fds[0]);
    near.Reset(fds[1]);
  }
  // All lines until `last` or the end, or nothing for ten seconds.
  std::vector<std::string> ReadUntil(const std::string& last) {
    std::string text;
    while (!text.ends_with(last + "\n")) {
      pollfd polled{far.get(), POLLIN, 0};
      char buffer[4096];
      if (::poll(&polled, 1, 10'000) <= 0) break;
      const ssize_t size = ::read(far.get(), buffer, sizeof buffer);
      if (size <= 0) break;
      text.append(buffer, static_cast<std::size_t>(size));
    }
    std::vector<std::string> lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    return lines;
  }

  FileDescriptor far;
  FileDescriptor near;
};

// How it may write: a pipe that is opened again, one that may not be, a socket.
enum class Kind { kPipe, kForeignPipe, kSocket };

class LineSinkTest : public ::testing::TestWithParam<Kind> {
 protected:
  LineSinkTest() : ends_(GetParam() == Kind::kSocket) {
    sink_ = std::make_unique<LineSink>(ends_.near.get(), Tell, GetParam() != Kind::kForeignPipe);
  }
  // Writes long lines until some were dropped; how many were not.
  int Fill() {
    int written = 0;
    while (sink_->Write(std::to_string(written) + std::string(1000, '.'))) ++written;
    return written;
  }

  Ends ends_;
  std::unique_ptr<LineSink> sink_;
};

TEST_P(LineSinkTest, WritesWhatIsRead) {
  EXPECT_TRUE(sink_->Write("one"));
  EXPECT_TRUE(sink_->Write("two"));
  EXPECT_THAT(ends_.ReadUntil("two"), ElementsAre("one", "two"));
  EXPECT_EQ(sink_->dropped(), 0u);
}

TEST_P(LineSinkTest, DropsWhatNobodyReadsAndTellsLater) {
  constexpr std::uint64_t kDropped = 10;
  std::vector<std::string> kept;
  for (int i = 0; sink_->dropped() < kDropped; ++i) {
    std::string line = std::to_string(i) + std::string(1000, '.');
    if (sink_->Write(line)) kept.push_back(std::move(line));
  }
  std::vector<std::string> lines;
  std::jthread reader([&] { lines = ends_.ReadUntil("after"); });
  ASSERT_TRUE(sink_->Flush(steady_clock::now() + seconds(10)));
  EXPECT_TRUE(sink_->Write("after"));
  reader.join();
  std::uint64_t told = 0;
  std::erase_if(lines, [&](const std::string& line) {
    if (!line.starts_with("dropped ")) return false;
    told += std::stoull(line.substr(8));
    return true;
  });
  EXPECT_EQ(told, kDropped);
  kept.emplace_back("after");
  EXPECT_EQ(lines, kept);
}

TEST_P(LineSinkTest, EndsThoughNobodyReads) {
  Fill();
  const auto before = steady_clock::now();
  EXPECT_FALSE(sink_->Flush(before + milliseconds(10)));
  sink_.reset();
  EXPECT_LT(steady_clock::now() - before, seconds(5));
}

TEST_P(LineSinkTest, WritesWhatIsQueuedBeforeItEnds) {
  for (int i = 0; i < 200; ++i) EXPECT_TRUE(sink_->Write(std::string(1000, '.')));
  std::vector<std::string> lines;
  std::jthread reader([&] { lines = ends_.ReadUntil("last"); });
  sink_->Write("last");
  sink_.reset();
  ends_.near.Reset();
  reader.join();
  EXPECT_EQ(lines.size(), 201u);
}

TEST_P(LineSinkTest, OutlivesItsReader) {
  std::signal(SIGPIPE, SIG_IGN);
  ends_.far.Reset();
  const auto before = steady_clock::now();
  for (int i = 0; i < 2'000; ++i) sink_->Write(std::string(1000, '.'));
  EXPECT_TRUE(sink_->Flush(before + seconds(10)));
}

TEST_P(LineSinkTest, KeepsLinesOfSeveralThreadsWhole) {
  constexpr int kThreads = 4;
  constexpr int kLines = 100;
  std::vector<std::string> lines;
  {
    std::jthread reader([&] { lines = ends_.ReadUntil("last"); });
    std::vector<std::jthread> writers;
    for (int i = 0; i < kThreads; ++i) {
      writers.emplace_back([&, i] {
        for (int j = 0; j < kLines; ++j) {
          sink_->Write(std::string(2000, static_cast<char>('a' + i)), std::size_t{64} << 20);
        }
      });
    }
    writers.clear();
    sink_->Write("last");
  }
  ASSERT_EQ(lines.size(), static_cast<std::size_t>(kThreads * kLines + 1));
  lines.pop_back();
  for (const std::string& line : lines) EXPECT_EQ(line, std::string(2000, line.front()));
}

std::string NameOf(const ::testing::TestParamInfo<Kind>& kind) {
  switch (kind.param) {
    case Kind::kPipe:
      return "Pipe";
    case Kind::kForeignPipe:
      return "ForeignPipe";
    case Kind::kSocket:
      return "Socket";
  }
  return "";
}
INSTANTIATE_TEST_SUITE_P(Ways, LineSinkTest,
                         ::testing::Values(Kind::kPipe, Kind::kForeignPipe, Kind::kSocket), NameOf);

TEST(LineSink, LeavesTheFlagsOfItsDescriptorAlone) {
  const Ends ends;
  const LineSink sink(ends.near.get(), Tell);
  EXPECT_EQ(::fcntl(ends.near.get(), F_GETFL) & O_NONBLOCK, 0);
}

TEST(LineSink, TakesAClosedDescriptorForNowhere) {
  LineSink sink(-1, Tell);
  EXPECT_TRUE(sink.Write("x"));
}

}  // namespace
}  // namespace mayfly::base
