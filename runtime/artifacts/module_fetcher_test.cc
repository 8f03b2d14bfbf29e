#include "runtime/artifacts/module_fetcher.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <atomic>

#include "base/digest.h"
#include "base/testing/eventually.h"
#include "base/testing/temp_dir.h"
#include "base/utf8.h"
#include "runtime/artifacts/testing.h"

namespace mayfly::runtime {
namespace {

using ::testing::HasSubstr;
using Clock = std::chrono::steady_clock;

class ModuleFetcherTest : public ::testing::Test {
 protected:
  ModuleFetcherTest() : fetcher_(MakeFetcher()) {
    server_.server().Get("/m.so", [this](const auto&, auto& response) {
      ++asked_;
      while (held_) ::usleep(2'000);
      response.set_content("module", "a/b");
    });
    server_.server().Get("/v2/b/manifests/1", [](const auto&, auto& response) {
      response.status = 401;
      response.set_header("WWW-Authenticate", "Bearer realm=\"ftp://\xff\xfe/\"");
    });
    server_.Start();
  }
  ~ModuleFetcherTest() override { held_ = false; }

  std::unique_ptr<ModuleFetcher> MakeFetcher() {
    auto fetcher =
        ModuleFetcher::Open({.program = MAYFLY_BIN_DIR "/mayfly-fetch", .folder = folder_ / "cache"});
    EXPECT_TRUE(fetcher.ok()) << fetcher.status();
    return *std::move(fetcher);
  }
  ModuleSource At(const std::string& path) const { return {.url = server_.url() + path}; }
  // The content, or "REASON".
  std::string Fetch(ModuleFetcher& fetcher, std::chrono::milliseconds wait = std::chrono::seconds(20)) {
    problem_.Clear();
    const FetchedModule module =
        fetcher.Fetch(At("/m.so"), base::Sha256Hex("module"), Clock::now() + wait, problem_);
    if (!module) return problem_.reason();
    char text[64];
    const ssize_t size = ::pread(module.file.get(), text, sizeof text, 0);
    return std::string(text, static_cast<std::size_t>(size));
  }

  base::TempDir folder_;
  TestServer server_;
  std::atomic<int> asked_ = 0;
  std::atomic<bool> held_ = false;
  std::unique_ptr<ModuleFetcher> fetcher_;
  v1::Problem problem_;
};

TEST_F(ModuleFetcherTest, FetchesOnceAndFindsItInTheCacheThen) {
  EXPECT_EQ(Fetch(*fetcher_), "module") << problem_.message();
  EXPECT_EQ(Fetch(*fetcher_), "module");
  const auto other = MakeFetcher();
  EXPECT_EQ(Fetch(*other), "module");
  EXPECT_EQ(asked_, 1);
  fetcher_->Drop(base::Sha256Hex("module"));
  EXPECT_EQ(Fetch(*other), "module");
  EXPECT_EQ(asked_, 2);
}

TEST_F(ModuleFetcherTest, GoesOnWhileNobodyWaits) {
  held_ = true;
  EXPECT_EQ(Fetch(*fetcher_, std::chrono::milliseconds(50)), ModuleFetcher::kReasonFetching);
  EXPECT_EQ(Fetch(*fetcher_, std::chrono::milliseconds(50)), ModuleFetcher::kReasonFetching);
  held_ = false;
  EXPECT_EQ(Fetch(*fetcher_), "module") << problem_.message();
  EXPECT_EQ(asked_, 1);
}

TEST_F(ModuleFetcherTest, FetchesOnceForTwoRuntimesOfAMachine) {
  const auto other = MakeFetcher();
  held_ = true;
  EXPECT_EQ(Fetch(*fetcher_, std::chrono::milliseconds(50)), ModuleFetcher::kReasonFetching);
  ASSERT_TRUE(base::Eventually([this] { return asked_ == 1; }));
  EXPECT_EQ(Fetch(*other, std::chrono::milliseconds(200)), ModuleFetcher::kReasonFetching);
  held_ = false;
  EXPECT_EQ(Fetch(*other), "module") << problem_.message();
  EXPECT_EQ(Fetch(*fetcher_), "module") << problem_.message();
  EXPECT_EQ(asked_, 1);
}

TEST_F(ModuleFetcherTest, TellsWhatTheProgramSays) {
  EXPECT_FALSE(fetcher_->Fetch(At("/none.so"), base::Sha256Hex("module"),
                               Clock::now() + std::chrono::seconds(20), problem_));
  EXPECT_EQ(problem_.reason(), "ArtifactNotFound");
  EXPECT_THAT(problem_.message(), HasSubstr("/none.so cannot be fetched: the server answers 404"));
}

TEST_F(ModuleFetcherTest, FetchesOutOfAnImageOfWhoseModuleNobodyKnowsTheDigest) {
  const ModuleSource absent{.image = {.reference = server_.url().substr(7) + "/a:1"}};
  EXPECT_FALSE(fetcher_->Fetch(absent, "", Clock::now() + std::chrono::seconds(20), problem_));
  EXPECT_EQ(problem_.reason(), "ArtifactNotFound");
  EXPECT_THAT(problem_.message(),
              HasSubstr("the image " + server_.url().substr(7) + "/a:1 cannot be fetched"));
}

TEST_F(ModuleFetcherTest, PassesOnAsTextWhatAServerSays) {
  const ModuleSource image{.image = {.reference = server_.url().substr(7) + "/b:1"}};
  EXPECT_FALSE(fetcher_->Fetch(image, "", Clock::now() + std::chrono::seconds(20), problem_));
  EXPECT_EQ(problem_.reason(), "ArtifactForbidden");
  EXPECT_TRUE(base::IsUtf8(problem_.message())) << "protobuf would not pass it on";
}

TEST_F(ModuleFetcherTest, RefusesToFetchWithoutADigest) {
  EXPECT_FALSE(fetcher_->Fetch(At("/m.so"), "", Clock::now(), problem_));
  EXPECT_EQ(problem_.reason(), "BadArtifactUrl");
  EXPECT_FALSE(fetcher_->Fetch(At("/m.so"), "../../etc/passwd", Clock::now(), problem_));
  EXPECT_EQ(asked_, 0);
}

TEST_F(ModuleFetcherTest, StopsWhatRunsAtOnce) {
  held_ = true;
  EXPECT_EQ(Fetch(*fetcher_, std::chrono::milliseconds(50)), ModuleFetcher::kReasonFetching);
  const Clock::time_point start = Clock::now();
  fetcher_.reset();
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(5));
}

TEST_F(ModuleFetcherTest, SaysThatItsProgramIsMissing) {
  auto fetcher = ModuleFetcher::Open({.program = folder_ / "none", .folder = folder_ / "cache"});
  ASSERT_TRUE(fetcher.ok());
  EXPECT_EQ(Fetch(**fetcher), "FetchFailed");
  EXPECT_THAT(problem_.message(), HasSubstr(folder_ / "none"));
}

}  // namespace
}  // namespace mayfly::runtime
