#include "tests/chaos/storm.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <iterator>
#include <memory>
#include <random>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/testing/eventually.h"
#include "base/testing/temp_dir.h"
#include "tests/chaos/executioner.h"
#include "tests/chaos/http_connection.h"
#include "tests/chaos/process_tree.h"
#include "tests/chaos/verdict.h"
#include "tests/integration/running_mayfly.h"

namespace mayfly::chaos {
namespace {

namespace fs = std::filesystem;
using std::chrono::duration_cast;
using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;
using Time = steady_clock::time_point;

// A client that is not answered gives up, and calls it a hang, this long after it was late.
constexpr seconds kGiveUp{3};
constexpr std::size_t kLongestBody = 16u << 10;

milliseconds Since(Time begin) { return duration_cast<milliseconds>(steady_clock::now() - begin); }

// One of the callers: sends requests until all have been sent.
class Caller {
 public:
  Caller(const StormOptions& options, int port, int number, std::atomic<int>& next)
      : options_(options), port_(port), number_(number), next_(next) {}

  void Run() {
    std::mt19937 random(options_.seed * 1'000 + static_cast<std::uint32_t>(number_));
    HttpConnection connection(port_);
    for (int request = 0; (request = next_.fetch_add(1)) < options_.requests;) {
      const auto pause = random() % static_cast<std::uint32_t>(options_.longest_handler.count() + 1);
      // Small bodies are many, large ones few; no two are equal.
      const std::size_t size = kLongestBody >> (random() % 12);
      std::string body = absl::StrCat("request ", request, " of connection ", number_, ": ");
      while (body.size() < size) body.push_back(static_cast<char>('a' + random() % 26));
      exchanges_.push_back(Make(connection, absl::StrCat("/echo?ms=", pause), body));
    }
  }
  std::vector<Exchange>& exchanges() { return exchanges_; }

 private:
  Exchange Make(HttpConnection& connection, const std::string& target, const std::string& body) const {
    Exchange exchange;
    exchange.begin = steady_clock::now();
    const absl::StatusOr<Answer> answer =
        connection.Post(target, body, exchange.begin + options_.timeout + kLate + kGiveUp);
    exchange.end = steady_clock::now();
    if (!answer.ok()) {
      exchange.end_kind = absl::IsDeadlineExceeded(answer.status()) ? Exchange::kHung : Exchange::kCut;
      exchange.text = std::string(answer.status().message());
    } else if (answer->status != 200) {
      exchange.end_kind = Exchange::kRefused;
      exchange.status = answer->status;
      exchange.text = answer->body;
    } else if (answer->body != body) {
      exchange.end_kind = Exchange::kWrong;
      exchange.text =
          absl::StrCat("sent \"", body.substr(0, 60), "\", got \"", answer->body.substr(0, 60), "\"");
    }
    return exchange;
  }

  const StormOptions& options_;
  const int port_;
  const int number_;
  std::atomic<int>& next_;
  std::vector<Exchange> exchanges_;
};

std::vector<Exchange> Call(const StormOptions& options, int port) {
  std::atomic<int> next{0};
  std::vector<std::unique_ptr<Caller>> callers;
  for (int i = 0; i < options.connections; ++i) {
    callers.push_back(std::make_unique<Caller>(options, port, i, next));
  }
  std::vector<std::jthread> threads;
  for (auto& caller : callers) threads.emplace_back([&caller] { caller->Run(); });
  threads.clear();
  std::vector<Exchange> all;
  for (auto& caller : callers) {
    std::move(caller->exchanges().begin(), caller->exchanges().end(), std::back_inserter(all));
  }
  return all;
}

void WriteFunction(const StormOptions& options, const std::string& folder, const std::string& space) {
  base::WriteFile(
      folder + "/echo.yaml",
      absl::StrCat("apiVersion: mayfly.dev/v1alpha1\nkind: Function\nmetadata: {name: echo, namespace: ",
                   space, "}\nspec:\n  artifact: {path: echo.so}\n  concurrency: ", options.concurrency,
                   "\n  timeout: ", options.timeout.count(),
                   "ms\n  scaling: {maxReplicas: ", options.max_replicas, ", scaleToZeroAfter: 1s}\n"));
  fs::copy_file(MAYFLY_TEST_MODULE_DIR "/echoes_late.so", folder + "/echo.so");
}

}  // namespace

StormReport RunStorm(const StormOptions& options) {
  StormReport report;
  Verdict verdict(options);
  const base::TempDir temp;
  const std::string space = absl::StrCat("storm", ::getpid(), "-", options.seed);
  WriteFunction(options, temp / "f", space);
  testing::RunningMayfly mayfly(temp / "run", {"up", "--port", "0", temp / "f"});
  if (!mayfly.WaitUntilReady()) {
    report.violations.push_back("mayfly up was not ready: " + mayfly.out() + mayfly.err());
    return report;
  }
  const std::vector<std::string> descriptors = OpenDescriptors(mayfly.pid());

  const Time begin = steady_clock::now();
  std::vector<Exchange> exchanges;
  std::vector<Kill> kills;
  {
    Executioner executioner(options, mayfly.pid());
    exchanges = Call(options, mayfly.port());
    kills = executioner.Stop();
  }
  report.took = Since(begin);

  const Time last = steady_clock::now();
  const auto all_gone = [&] {
    return Descendants(mayfly.pid()).empty() && testing::ProcessesWith(space) == 0;
  };
  if (!base::Eventually(all_gone, seconds(20))) {
    for (const Process& left : Descendants(mayfly.pid())) {
      verdict.Violation("left after scale to zero", absl::StrCat(left.pid, " ", left.command));
    }
  }
  report.to_zero = Since(last);
  std::vector<std::string> still;
  const auto all_closed = [&] {
    still = OpenDescriptors(mayfly.pid());
    // The file of usage records is there from the first record on.
    std::erase_if(still,
                  [](const std::string& path) { return path.find("/usage/usage-") != std::string::npos; });
    return still.size() <= descriptors.size();
  };
  if (!base::Eventually(all_closed)) {
    verdict.Violation("descriptors of mayfly up", absl::StrCat("before: ", absl::StrJoin(descriptors, " "),
                                                               ", after: ", absl::StrJoin(still, " ")));
  }
  const absl::StatusOr<Answer> again =
      HttpConnection(mayfly.port()).Post("/echo", "again", steady_clock::now() + options.timeout);
  if (!again.ok() || again->body != "again") {
    verdict.Violation("the request after scale to zero",
                      again.ok() ? again->body : again.status().ToString());
  }

  const Time interrupted = steady_clock::now();
  mayfly.Signal(SIGINT);
  if (const int code = mayfly.Wait(); code != 0) {
    verdict.Violation("exit code of mayfly up", absl::StrCat(code));
  }
  report.to_end = Since(interrupted);
  const int left = testing::ProcessesWith(space) + testing::ProcessesWith(temp.path());
  if (left != 0) verdict.Violation("left after mayfly up", absl::StrCat(left, " processes"));
  if (fs::exists(temp / "run")) verdict.Violation("left after mayfly up", "its run folder");

  verdict.Judge(exchanges, kills, mayfly.err() + mayfly.out(), report);
  return report;
}

}  // namespace mayfly::chaos
