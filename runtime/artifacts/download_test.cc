#include "runtime/artifacts/download.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <iterator>
#include <memory>

#include "base/digest.h"
#include "base/file_descriptor.h"
#include "base/testing/temp_dir.h"
#include "runtime/artifacts/testing.h"

namespace mayfly::runtime {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class DownloadTest : public ::testing::Test {
 protected:
  DownloadTest() {
    for (int i = 0; i < 300'000; ++i) module_ += static_cast<char>(i * 7 + i / 251);
    order_.sha256 = base::Sha256Hex(module_);
    order_.most_bytes = 1u << 20;
    order_.timeout = std::chrono::seconds(20);
    order_.folder = folder_.path();
  }

  // What a fetch of `path` ends with: "" if it went well, else "REASON: SENTENCE".
  std::string Fetch(const std::string& path) {
    order_.source.url = path.starts_with("/") ? server_.url() + path : path;
    const base::FileDescriptor file(
        ::open((folder_ / "module").c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    const auto failure = Download(order_, file.get(), [this](std::uint64_t bytes, std::uint64_t total) {
      come_ = bytes;
      total_ = total;
    });
    return failure ? failure->reason + ": " + failure->message : "";
  }
  std::string Content() const {
    std::ifstream file(folder_ / "module");
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void WriteSetting(const std::string& name, const std::string& value) {
    std::ofstream(folder_ / name) << value << "\n";
    order_.credentials_folder = folder_.path();
  }
  // Answers with all of the module, and hangs up after `bytes`.
  void SendSome(httplib::Response& response, std::size_t bytes) {
    response.set_content_provider(
        module_.size(), "application/octet-stream",
        [this, bytes](std::size_t offset, std::size_t length, httplib::DataSink& sink) {
          if (offset >= bytes) return false;
          sink.write(module_.data() + offset, std::min(length, bytes - offset));
          return true;
        });
  }

  base::TempDir folder_;
  std::string module_;
  FetchOrder order_;
  TestServer server_;
  std::uint64_t come_ = 0;
  std::uint64_t total_ = 0;
};

TEST_F(DownloadTest, GetsTheModuleAndSaysHowMuchHasCome) {
  server_.server().Get("/m.so",
                       [this](const auto&, auto& response) { response.set_content(module_, "a/b"); });
  server_.Start();
  EXPECT_EQ(Fetch("/m.so"), "");
  EXPECT_EQ(Content(), module_);
  EXPECT_EQ(come_, module_.size());
  EXPECT_EQ(total_, module_.size());
}

TEST_F(DownloadTest, RefusesAnotherContentThanTheDigestSays) {
  server_.server().Get("/m.so", [](const auto&, auto& response) { response.set_content("other", "a/b"); });
  server_.Start();
  const std::string failure = Fetch("/m.so");
  EXPECT_THAT(failure, StartsWith("DigestMismatch: "));
  EXPECT_THAT(failure, HasSubstr(base::Sha256Hex("other")));
  EXPECT_THAT(failure, HasSubstr(order_.sha256));
}

TEST_F(DownloadTest, DoesNotAskAgainForWhatIsNotThere) {
  std::atomic<int> asked = 0;
  const auto answer = [&asked](int code) {
    return [&asked, code](const httplib::Request&, httplib::Response& response) {
      ++asked;
      response.status = code;
    };
  };
  server_.server().Get("/none.so", answer(404)).Get("/secret.so", answer(403));
  server_.Start();
  EXPECT_THAT(Fetch("/none.so?token=abc"), ::testing::AllOf(StartsWith("ArtifactNotFound: " + server_.url()),
                                                            HasSubstr("404"), Not(HasSubstr("abc"))));
  EXPECT_THAT(Fetch("/secret.so"), StartsWith("ArtifactForbidden: "));
  EXPECT_EQ(asked, 2);
}

TEST_F(DownloadTest, TriesAgainWhatMayPass) {
  std::atomic<int> asked = 0;
  server_.server().Get("/m.so", [&](const auto&, auto& response) {
    if (++asked < 3) {
      response.status = asked == 1 ? 503 : 429;
    } else {
      response.set_content(module_, "a/b");
    }
  });
  server_.Start();
  EXPECT_EQ(Fetch("/m.so"), "");
  EXPECT_EQ(asked, 3);
}

TEST_F(DownloadTest, GoesOnWhereTheConnectionEnded) {
  std::atomic<int> asked = 0;
  std::atomic<bool> ranged = false;
  server_.server().Get("/m.so", [&](const httplib::Request& request, httplib::Response& response) {
    response.set_header("ETag", "\"1\"");
    if (++asked == 1) return SendSome(response, 100'000);
    ranged = request.has_header("Range") && request.get_header_value("If-Range") == "\"1\"";
    response.set_content(module_, "a/b");
  });
  server_.Start();
  EXPECT_EQ(Fetch("/m.so"), "");
  EXPECT_EQ(Content(), module_);
  EXPECT_TRUE(ranged);
}

TEST_F(DownloadTest, BeginsAnewWhereTheServerKnowsNoRanges) {
  std::atomic<int> asked = 0;
  server_.server().set_post_routing_handler([](const auto&, auto& response) {
    if (response.status == 206) response.status = 200;
  });
  server_.server().Get("/m.so", [&](const httplib::Request& request, httplib::Response& response) {
    const_cast<httplib::Request&>(request).ranges.clear();
    if (++asked == 1) return SendSome(response, 100'000);
    response.set_content(module_, "a/b");
  });
  server_.Start();
  EXPECT_EQ(Fetch("/m.so"), "");
  EXPECT_EQ(Content(), module_);
}

TEST_F(DownloadTest, StopsAtTheMostThatIsTaken) {
  order_.most_bytes = 1000;
  server_.server().Get("/m.so",
                       [this](const auto&, auto& response) { response.set_content(module_, "a/b"); });
  server_.Start();
  EXPECT_THAT(Fetch("/m.so"), StartsWith("TooLarge: "));
  EXPECT_LE(Content().size(), 1000u);
}

TEST_F(DownloadTest, FollowsAFewRedirects) {
  server_.server()
      .Get("/m.so", [this](const auto&, auto& response) { response.set_content(module_, "a/b"); })
      .Get("/once", [](const auto&, auto& response) { response.set_redirect("/m.so"); })
      .Get("/loop", [](const auto&, auto& response) { response.set_redirect("/loop"); })
      .Get("/file", [](const auto&, auto& response) { response.set_redirect("file:///etc/passwd"); });
  server_.Start();
  EXPECT_EQ(Fetch("/once"), "");
  EXPECT_THAT(Fetch("/loop"), StartsWith("BadArtifactUrl: "));
  EXPECT_THAT(Fetch("/file"), StartsWith("BadArtifactUrl: "));
}

TEST_F(DownloadTest, EndsAtItsDeadline) {
  order_.timeout = std::chrono::milliseconds(300);
  // The server's thread may still be in it when the test has ended.
  const auto end = std::make_shared<std::atomic<bool>>(false);
  server_.server().Get("/m.so", [end](const auto&, auto& response) {
    response.set_content_provider(10, "a/b", [end](std::size_t, std::size_t, httplib::DataSink&) {
      for (int i = 0; i < 1000 && !*end; ++i) ::usleep(5'000);
      return false;
    });
  });
  server_.Start();
  EXPECT_THAT(Fetch("/m.so"), StartsWith("ArtifactUnreachable: "));
  *end = true;
}

TEST_F(DownloadTest, SaysThatNobodyAnswers) {
  order_.timeout = std::chrono::milliseconds(500);
  EXPECT_THAT(Fetch("http://127.0.0.1:1/m.so"), StartsWith("ArtifactUnreachable: http://127.0.0.1:1/m.so "));
}

TEST_F(DownloadTest, ShowsItsTokenToTheHostThatItIsFor) {
  server_.server().Get("/m.so", [this](const httplib::Request& request, httplib::Response& response) {
    response.status = request.get_header_value("Authorization") == "Bearer t" ? 200 : 401;
    if (response.status == 200) response.set_content(module_, "a/b");
  });
  server_.Start();
  EXPECT_THAT(Fetch("/m.so"), StartsWith("ArtifactForbidden: "));
  WriteSetting("token", "t");
  EXPECT_EQ(Fetch("/m.so"), "");
  EXPECT_THAT(Fetch("http://elsewhere.invalid/m.so"),
              ::testing::AllOf(StartsWith("BadArtifactUrl: "), HasSubstr("in clear")));
}

TEST_F(DownloadTest, SignsWhatItAsksOfS3) {
  std::string authorization;
  server_.server().Get("/mods/a b.so", [&](const httplib::Request& request, httplib::Response& response) {
    authorization = request.get_header_value("Authorization");
    response.set_content(module_, "a/b");
  });
  server_.Start();
  WriteSetting("AWS_ENDPOINT_URL", server_.url());
  WriteSetting("AWS_ACCESS_KEY_ID", "key");
  WriteSetting("AWS_SECRET_ACCESS_KEY", "secret");
  EXPECT_EQ(Fetch("s3://mods/a b.so"), "");
  EXPECT_THAT(authorization, StartsWith("AWS4-HMAC-SHA256 Credential=key/"));
  EXPECT_THAT(Fetch("s3://mods"), StartsWith("BadArtifactUrl: "));
}

}  // namespace
}  // namespace mayfly::runtime
