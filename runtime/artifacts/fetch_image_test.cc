#include "runtime/artifacts/fetch_image.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <map>
#include <mutex>
#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "base/testing/temp_dir.h"
#include "runtime/artifacts/fetch.h"
#include "runtime/artifacts/image_manifest.h"
#include "runtime/artifacts/image_testing.h"
#include "runtime/artifacts/testing.h"

namespace mayfly::runtime {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using Json = nlohmann::json;

// A registry that holds what it is given, as it is given it, and lets in whoever shows `authorization`.
class FetchImageTest : public ::testing::Test {
 protected:
  FetchImageTest() {
    server_.server().set_pre_routing_handler(
        [this](const httplib::Request& request, httplib::Response& response) {
          const std::lock_guard lock(mutex_);
          requests_.push_back(request.path);
          if (request.path == "/token" || authorization_.empty() ||
              request.get_header_value("Authorization") == authorization_)
            return httplib::Server::HandlerResponse::Unhandled;
          response.status = 401;
          response.set_header("WWW-Authenticate", challenge_.c_str());
          return httplib::Server::HandlerResponse::Handled;
        });
    server_.server().Get("/token", [](const httplib::Request& request, httplib::Response& response) {
      const bool known = request.get_header_value("Authorization") == "Basic YWRhOnM=" &&
                         request.get_param_value("scope") == "repository:tools/hello:pull" &&
                         request.get_param_value("service") == "the registry";
      response.status = known ? 200 : 401;
      if (known) response.set_content(R"({"token": "t"})", "application/json");
    });
    server_.server().Post("/token", [](const httplib::Request& request, httplib::Response& response) {
      const bool known = request.get_param_value("grant_type") == "refresh_token" &&
                         request.get_param_value("refresh_token") == "i+1" &&
                         request.get_param_value("scope") == "repository:tools/hello:pull";
      response.status = known ? 200 : 400;
      if (known) response.set_content(R"({"access_token": "t"})", "application/json");
    });
    const auto give = [this](const httplib::Request& request, httplib::Response& response) {
      const std::lock_guard lock(mutex_);
      if (failures_ > 0) {
        --failures_;
        response.status = 503;
        return;
      }
      const auto found = held_.find(request.matches[1]);
      response.status = found == held_.end() ? 404 : 200;
      response.set_content(
          found == held_.end() ? R"({"errors":[{"code":"UNKNOWN","message":"never seen"}]})" : found->second,
          "application/json");
    };
    server_.server().Get("/v2/tools/hello/manifests/(.*)", give).Get("/v2/tools/hello/blobs/(.*)", give);
    server_.Start();
    host_ = server_.url().substr(server_.url().find("//") + 2);
    order_.folder = folder_ / "cache";
    order_.cache_bytes = 1u << 30;
    order_.most_bytes = 1u << 20;
    order_.timeout = std::chrono::seconds(20);
  }

  // The name under which it is held then.
  std::string Put(const std::string& content) {
    std::string digest = "sha256:" + base::Sha256Hex(content);
    held_[digest] = content;
    return digest;
  }
  static Json Descriptor(const std::string& content, const std::string& digest) {
    return {{"mediaType", "application/vnd.oci.image.layer.v1.tar+gzip"},
            {"digest", digest},
            {"size", content.size()}};
  }
  // An image with these layers, the lowest first.
  std::string PutImage(const std::vector<std::string>& layers) {
    Json manifest = {{"schemaVersion", 2}, {"layers", Json::array()}};
    for (const std::string& layer : layers) manifest["layers"].push_back(Descriptor(layer, Put(layer)));
    return Put(manifest.dump());
  }
  std::string PutIndex(const std::map<std::string, std::string>& manifests) {
    Json index = {{"schemaVersion", 2}, {"manifests", Json::array()}};
    for (const auto& [platform, digest] : manifests) {
      const std::size_t slash = platform.find('/');
      index["manifests"].push_back(
          {{"digest", digest},
           {"size", 1},
           {"platform", {{"os", platform.substr(0, slash)}, {"architecture", platform.substr(slash + 1)}}}});
    }
    return Put(index.dump());
  }
  static std::string Layer(const std::string& module) {
    return MakeLayer({{.name = "module.so", .content = module}});
  }

  // The module's content, or "REASON: SENTENCE". `rest`: ":TAG" or "@sha256:…".
  std::string Fetch(const std::string& rest) {
    order_.source.image.reference = host_ + "/tools/hello" + rest;
    std::string sha256;
    const auto failure = FetchIntoCache(order_, [](std::uint64_t, std::uint64_t) {}, sha256);
    if (failure) return failure->reason + ": " + failure->message;
    const base::FileDescriptor file = ModuleCache::Open(order_.folder, 1u << 30)->Find(sha256);
    std::string content(4096, '\0');
    const ssize_t size = ::pread(file.get(), content.data(), content.size(), 0);
    content.resize(static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
    EXPECT_EQ(base::Sha256Hex(content), sha256);
    return content;
  }
  std::size_t requests() {
    const std::lock_guard lock(mutex_);
    return requests_.size();
  }

  base::TempDir folder_;
  std::mutex mutex_;
  std::map<std::string, std::string> held_;  // guarded by mutex_ once the server is asked, as all below
  std::vector<std::string> requests_;
  std::string authorization_;  // "": everybody
  std::string challenge_;
  int failures_ = 0;
  TestServer server_;
  std::string host_;
  FetchOrder order_;
};

TEST_F(FetchImageTest, GetsTheModuleByDigestAndByTag) {
  const std::string image = PutImage({Layer("elf")});
  held_["1"] = held_[image];
  EXPECT_EQ(Fetch("@" + image), "elf");
  EXPECT_EQ(Fetch(":1"), "elf");
  EXPECT_EQ(Fetch(":absent@" + image), "elf") << "beside a digest a tag says nothing";
}

TEST_F(FetchImageTest, AsksOnceForAnImageByItsDigestAndEachTimeForATag) {
  const std::string image = PutImage({Layer("elf")});
  held_["1"] = held_[image];
  EXPECT_EQ(Fetch("@" + image), "elf");
  const std::size_t before = requests();
  EXPECT_EQ(Fetch("@" + image), "elf");
  EXPECT_EQ(requests(), before);
  EXPECT_EQ(Fetch(":1"), "elf");
  held_["1"] = held_[PutImage({Layer("newer")})];
  EXPECT_EQ(Fetch(":1"), "newer");
}

TEST_F(FetchImageTest, TakesTheManifestOfThisPlatform) {
  const std::string here = PutImage({Layer("here")});
  const std::string there = PutImage({Layer("there")});
  EXPECT_EQ(Fetch("@" + PutIndex({{"plan9/mips", there}, {ThisPlatform(), here}})), "here");
  EXPECT_THAT(Fetch("@" + PutIndex({{"plan9/mips", there}})),
              AllOf(StartsWith("BadArtifactImage: "),
                    HasSubstr("is not for " + ThisPlatform() + ", but for plan9/mips")));
  EXPECT_THAT(Fetch("@" + PutIndex({{ThisPlatform(), PutIndex({{ThisPlatform(), here}})}})),
              HasSubstr("index of indexes"));
}

TEST_F(FetchImageTest, SeesTheLayersAsAContainerWould) {
  const std::string other = MakeLayer({{.name = "readme", .content = "hi"}});
  EXPECT_EQ(Fetch("@" + PutImage({Layer("lower"), Layer("upper"), other})), "upper");
  EXPECT_THAT(Fetch("@" + PutImage({Layer("lower"), MakeLayer({{.name = ".wh.module.so"}})})),
              AllOf(StartsWith("BadArtifactImage: "), HasSubstr("has no file /module.so")));
  EXPECT_THAT(Fetch("@" + PutImage({other})),
              HasSubstr("has no file /module.so: make it with mayfly build --push"));
}

TEST_F(FetchImageTest, ChecksEveryDigest) {
  const std::string layer = Layer("elf");
  const std::string image = PutImage({layer});
  // The module's own, if the manifest of the function has it.
  order_.sha256 = base::Sha256Hex("another");
  EXPECT_THAT(Fetch("@" + image), AllOf(StartsWith("DigestMismatch: "), HasSubstr(base::Sha256Hex("elf")),
                                        HasSubstr(order_.sha256)));
  order_.sha256 = base::Sha256Hex("elf");
  EXPECT_EQ(Fetch("@" + image), "elf");
  order_.sha256.clear();
  // A layer's.
  const std::string second = PutImage({Layer("forged")});
  for (auto& [name, content] : held_)
    if (content == Layer("forged")) content = Layer("FORGED");
  EXPECT_THAT(Fetch("@" + second),
              AllOf(StartsWith("DigestMismatch: layer sha256:"), HasSubstr("somebody has changed it")));
  // The manifest's.
  held_[second] = held_[image];
  EXPECT_THAT(Fetch("@" + second),
              AllOf(StartsWith("DigestMismatch: "), HasSubstr("for " + second), HasSubstr(image)));
  // One of a platform's manifest.
  const std::string index = PutIndex({{ThisPlatform(), second}});
  EXPECT_THAT(Fetch("@" + index), StartsWith("DigestMismatch: "));
}

TEST_F(FetchImageTest, SaysWhatTheRegistryHasNot) {
  EXPECT_THAT(
      Fetch(":2"),
      AllOf(StartsWith("ArtifactNotFound: the image " + host_ + "/tools/hello:2 cannot be fetched"),
            HasSubstr("has no 2 of tools/hello (never seen)"), HasSubstr("mend spec.artifact.image")));
  const std::string image = PutImage({Layer("elf")});
  held_.erase("sha256:" + base::Sha256Hex(Layer("elf")));
  EXPECT_THAT(Fetch("@" + image),
              AllOf(StartsWith("ArtifactNotFound: layer "), HasSubstr("push the image again")));
}

TEST_F(FetchImageTest, TriesAgainWhatMayPass) {
  const std::string image = PutImage({Layer("elf")});
  failures_ = 2;
  EXPECT_EQ(Fetch("@" + image), "elf");
}

TEST_F(FetchImageTest, ShowsAPasswordToWhoAsksForOne) {
  const std::string image = PutImage({Layer("elf")});
  authorization_ = "Basic YWRhOnM=";
  challenge_ = "Basic realm=\"r\"";
  EXPECT_THAT(Fetch("@" + image), AllOf(StartsWith("ArtifactForbidden: "), HasSubstr("answers 401"),
                                        HasSubstr("name a Secret in spec.imagePullSecrets")));
  order_.source.image.logins = {{.username = "ada", .password = "wrong"}};
  EXPECT_THAT(Fetch("@" + image),
              AllOf(HasSubstr("does not let in the login of ada"), Not(HasSubstr("wrong"))));
  order_.source.image.logins.push_back({.username = "ada", .password = "s"});
  EXPECT_EQ(Fetch("@" + image), "elf");
}

TEST_F(FetchImageTest, GetsATokenForAPasswordOrAnIdentity) {
  const std::string image = PutImage({Layer("elf")});
  authorization_ = "Bearer t";
  challenge_ = "Bearer realm=\"" + server_.url() + "/token\",service=\"the registry\",scope=\"x\"";
  EXPECT_THAT(Fetch("@" + image), StartsWith("ArtifactForbidden: "));
  order_.source.image.logins = {{.username = "ada", .password = "s"}};
  EXPECT_EQ(Fetch("@" + image), "elf");
  for (const RegistryLogin& login :
       {RegistryLogin{.identity_token = "i+1"}, RegistryLogin{.registry_token = "t"}}) {
    order_.source.image.logins = {{.username = "bob", .password = "no"}, login};
    order_.folder = folder_ / ("cache-of-" + login.registry_token);
    EXPECT_EQ(Fetch("@" + image), "elf");
  }
}

TEST_F(FetchImageTest, SendsNoPasswordElsewhereInClear) {
  const std::string image = PutImage({Layer("elf")});
  authorization_ = "Bearer t";
  challenge_ = "Bearer realm=\"ftp://elsewhere.example/token\",service=\"s\"";
  order_.source.image.logins = {{.username = "ada", .password = "s"}};
  EXPECT_THAT(Fetch("@" + image), AllOf(StartsWith("ArtifactForbidden: "),
                                        HasSubstr("ftp://elsewhere.example"), HasSubstr("it gets none")));
}

TEST_F(FetchImageTest, SaysThatNobodyAnswers) {
  order_.timeout = std::chrono::milliseconds(500);
  host_ = "127.0.0.1:1";
  EXPECT_THAT(Fetch(":1"),
              AllOf(StartsWith("ArtifactUnreachable: the image 127.0.0.1:1/tools/hello:1 cannot be fetched: "
                               "127.0.0.1:1 does not answer"),
                    HasSubstr("does the registry run")));
}

TEST_F(FetchImageTest, SaysThatARegistryHasNoTls) {
  // By its name in DNS it is no registry of this machine; TLS meets a server that has none.
  const std::string port = host_.substr(host_.rfind(':'));
  host_ = "127.0.0.1.nip.invalid" + port;
  order_.timeout = std::chrono::milliseconds(500);
  EXPECT_THAT(Fetch(":1"), AllOf(StartsWith("ArtifactUnreachable: "), HasSubstr("there is no host")));
  host_ = "0.0.0.0" + port;
  EXPECT_THAT(Fetch(":1"), AllOf(StartsWith("ArtifactUntrusted: "), HasSubstr("--plain-http-registry")));
  order_.timeout = std::chrono::seconds(20);
  order_.source.image.plain_http = true;
  held_["1"] = held_[PutImage({Layer("elf")})];
  EXPECT_EQ(Fetch(":1"), "elf");
}

TEST_F(FetchImageTest, RefusesWhatIsTooLarge) {
  order_.most_bytes = 1000;
  EXPECT_THAT(Fetch("@" + PutImage({Layer(std::string(2000, 'x'))})),
              AllOf(StartsWith("TooLarge: "), HasSubstr("/module.so of more than 1000 bytes")));
  // More than the manifest says.
  const std::string layer = Layer("elf");
  Json manifest = {{"layers", Json::array({Descriptor(layer, Put(layer))})}};
  manifest["layers"][0]["size"] = 10;
  EXPECT_THAT(Fetch("@" + Put(manifest.dump())),
              AllOf(StartsWith("TooLarge: layer "), HasSubstr("more than 10 bytes")));
  manifest["layers"][0]["size"] = 1ull << 40;
  EXPECT_THAT(Fetch("@" + Put(manifest.dump())),
              AllOf(StartsWith("TooLarge: "), HasSubstr("has layers of more than")));
  EXPECT_THAT(Fetch("@" + Put(std::string(kMostManifestBytes + 1, ' '))),
              AllOf(StartsWith("BadArtifactImage: "), HasSubstr("has a manifest of more than")));
}

TEST_F(FetchImageTest, RefusesWhatIsNoImage) {
  EXPECT_THAT(Fetch("@" + Put("<html>")), StartsWith("BadArtifactImage: "));
  EXPECT_THAT(Fetch("@" + PutImage({"no tar"})),
              AllOf(StartsWith("BadArtifactImage: "), HasSubstr("no tar")));
  EXPECT_THAT(Fetch("@sha256:12"), AllOf(StartsWith("BadArtifactUrl: "), HasSubstr("names no image")));
}

TEST_F(FetchImageTest, LeavesNothingOfWhatFailed) {
  const std::string image = PutImage({"no tar"});
  EXPECT_THAT(Fetch("@" + image), StartsWith("BadArtifactImage: "));
  for (const auto& entry : std::filesystem::recursive_directory_iterator(order_.folder))
    EXPECT_TRUE(entry.is_directory() || entry.path().parent_path().filename() == "locks") << entry.path();
}

}  // namespace
}  // namespace mayfly::runtime
