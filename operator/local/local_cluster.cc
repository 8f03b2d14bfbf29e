#include "operator/local/local_cluster.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/thread.h"
#include "proto/problem.h"

namespace mayfly::op {
namespace {

namespace fs = std::filesystem;
using SteadyClock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// However often something changes, it is looked at within this many times the debounce time.
constexpr int kLongestDebounce = 8;

v1::Problem NotLocal(const Function& function) {
  return v1::MakeProblem("operator", "ArtifactNotLocal",
                         absl::StrCat("function ", function.Key(),
                                      ": on one machine a module comes from a file or a URL: give "
                                      "spec.artifact.path, or url and sha256"));
}

}  // namespace

LocalCluster::LocalCluster(LocalClusterOptions options)
    : options_(std::move(options)),
      artifacts_(absl::StrCat(options_.run_dir, "/artifacts")),
      log_(options_.log_limits) {}

absl::StatusOr<std::unique_ptr<LocalCluster>> LocalCluster::Start(LocalClusterOptions options) {
  std::unique_ptr<LocalCluster> cluster(new LocalCluster(std::move(options)));
  const LocalClusterOptions& given = cluster->options_;
  for (const std::string& path : given.paths) {
    std::error_code error;
    fs::path absolute = fs::absolute(path, error).lexically_normal();
    if (error || !fs::exists(absolute, error)) {
      return absl::NotFoundError(absl::StrCat("there is no file or folder ", path));
    }
    if (!absolute.has_filename()) absolute = absolute.parent_path();
    cluster->roots_.push_back(absolute.string());
  }
  for (const char* const folder : {"/artifacts", "/r"}) {
    const std::string path = absl::StrCat(given.run_dir, folder);
    if (::mkdir(path.c_str(), 0700) != 0) return base::ErrnoStatus(errno, absl::StrCat("cannot make ", path));
  }
  absl::StatusOr<FolderWatcher> watcher = FolderWatcher::Create();
  if (!watcher.ok()) return watcher.status();
  cluster->watcher_ = *std::move(watcher);
  cluster->wake_.Reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!cluster->wake_) return base::ErrnoStatus(errno, "cannot make an eventfd");

  ReplicaSupervisorOptions replicas;
  replicas.program = given.runtime_program;
  replicas.arguments = given.runtime_arguments;
  // One for all replicas: what one of them fetched, the next finds.
  replicas.arguments.push_back("--module-cache");
  replicas.arguments.push_back(absl::StrCat(given.run_dir, "/fetched"));
  replicas.environment = CleanEnvironment();
  replicas.dir = absl::StrCat(given.run_dir, "/r");
  replicas.changed = [self = cluster.get()](const std::string& function) { self->Notify(function); };
  replicas.line = [self = cluster.get()](const std::string& function, const std::string& replica,
                                         std::string_view line) {
    self->log_.Append(function, replica, std::string(line));
    if (self->options_.on_line) self->options_.on_line(function, replica, line);
  };
  absl::StatusOr<std::unique_ptr<ReplicaSupervisor>> supervisor =
      ReplicaSupervisor::Start(std::move(replicas));
  if (!supervisor.ok()) return supervisor.status();
  cluster->replicas_ = *std::move(supervisor);

  cluster->LookAtEverything();
  cluster->files_thread_ = base::StartThread(
      "files", [self = cluster.get()](const std::stop_token& stop) { self->RunFiles(stop); });
  return cluster;
}

LocalCluster::~LocalCluster() {
  Unwatch();
  log_.Close();
  files_thread_.request_stop();
  if (files_thread_.joinable()) files_thread_.join();
  replicas_.reset();
}

void LocalCluster::Wake() {
  const std::uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof one);
}

void LocalCluster::RunFiles(const std::stop_token& stop) {
  const std::stop_callback wake(stop, [this] { Wake(); });
  FolderWatcher::Changes pending;
  SteadyClock::time_point first;  // when the oldest of `pending` came
  SteadyClock::time_point due;
  // Where the system allows too few watches, looking is all there is; and what kept a module from being copied, such as a
  // full disk, goes without a change that could be watched.
  static constexpr milliseconds kSoon{1'000};
  const auto next_resync = [this] {
    return SteadyClock::now() +
           (watching_all_ && !unreadable_ ? options_.resync : std::min(options_.resync, kSoon));
  };
  SteadyClock::time_point resync = next_resync();
  while (!stop.stop_requested()) {
    SteadyClock::time_point now = SteadyClock::now();
    const bool waiting = !pending.empty() || !retry_.empty();
    const auto until = waiting ? std::min(due, resync) : resync;
    const auto left = std::max<milliseconds>(std::chrono::ceil<milliseconds>(until - now), milliseconds(0));
    pollfd polled[2] = {{watcher_->fd(), POLLIN, 0}, {wake_.get(), POLLIN, 0}};
    ::poll(polled, 2, static_cast<int>(left.count()));
    if (stop.stop_requested()) break;
    now = SteadyClock::now();
    if ((polled[1].revents & POLLIN) != 0) {
      std::uint64_t ignored = 0;
      (void)!::read(wake_.get(), &ignored, sizeof ignored);
    }
    if ((polled[0].revents & POLLIN) != 0) {
      FolderWatcher::Changes more = watcher_->Read();
      if (!more.empty()) {
        if (pending.empty()) first = now;
        pending.paths.merge(more.paths);
        pending.folders.merge(more.folders);
        pending.lost = pending.lost || more.lost;
        due = std::min(now + options_.debounce, first + kLongestDebounce * options_.debounce);
      }
    }
    if ((!pending.empty() || !retry_.empty()) && due <= now) {
      const FolderWatcher::Changes changes = std::exchange(pending, {});
      Notify(LookAt(changes));
      resync = std::min(resync, next_resync());
      due = SteadyClock::now() + options_.debounce;
      Collect();
    }
    if (resync <= now) {
      Notify(LookAtEverything());
      resync = next_resync();
      due = SteadyClock::now() + options_.debounce;
      Collect();
    }
  }
}

std::set<std::string> LocalCluster::LookAtEverything() {
  unreadable_ = false;
  std::set<std::string> touched;
  // Watches come before the look, so that nothing can change unseen between them; new folders need a second
  // round.
  constexpr int kRounds = 3;
  for (int round = 0; round < kRounds; ++round) {
    ManifestScan scan = ScanManifests(roots_);
    for (const auto& [path, identity] : scan.files) {
      const auto seen = seen_.find(path);
      if (seen == seen_.end() || seen->second != identity) touched.merge(ReadFile(path));
    }
    std::vector<std::string> gone;
    for (const auto& [path, identity] : seen_) {
      if (!scan.files.contains(path)) gone.push_back(path);
    }
    for (const std::string& path : gone) touched.merge(ReadFile(path));
    if (scan.cut_short != last_complaint_) {
      last_complaint_ = scan.cut_short;
      if (!scan.cut_short.empty()) base::log::Warn("not every manifest is read", {{"why", scan.cut_short}});
    }
    const bool same = round > 0 && scan.folders == manifest_folders_;
    manifest_folders_ = std::move(scan.folders);
    touched.merge(LinkArtifacts(touched));
    if (same) break;
  }
  std::vector<std::string> artifacts;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [path, state] : artifacts_of_) artifacts.push_back(path);
  }
  for (const std::string& path : artifacts) touched.merge(RefreshArtifact(path));
  return touched;
}

std::set<std::string> LocalCluster::LookAt(const FolderWatcher::Changes& changes) {
  std::set<std::string> touched;
  std::set<std::string> again = std::exchange(retry_, {});
  bool everything = changes.lost;
  for (const std::string& folder : changes.folders) {
    // An absent root may have come.
    if (!manifest_folders_.contains(folder)) continue;
    for (const std::string& root : roots_)
      everything = everything || (NearestFolder(root) == folder && !fs::exists(root));
  }
  if (everything) return LookAtEverything();
  for (const std::string& path : changes.paths) {
    const bool root = std::find(roots_.begin(), roots_.end(), path) != roots_.end();
    const bool below =
        manifest_folders_.contains(fs::path(path).parent_path().string()) &&
        std::any_of(roots_.begin(), roots_.end(), [&path](const std::string& each) {
          return path.size() > each.size() && path.starts_with(each) && path[each.size()] == '/';
        });
    if (root || seen_.contains(path) || (below && IsManifestName(path))) again.insert(path);
  }
  std::set<std::string> artifacts;
  {
    const std::lock_guard lock(mutex_);
    for (const std::string& path : again) {
      if (artifacts_of_.contains(path)) artifacts.insert(path);
    }
  }
  for (const auto& [artifact, folder] : artifact_folders_) {
    if (changes.folders.contains(folder)) artifacts.insert(artifact);
  }
  for (const std::string& path : again) {
    if (!artifacts.contains(path)) touched.merge(ReadFile(path));
  }
  touched.merge(LinkArtifacts(touched));
  for (const std::string& path : artifacts) touched.merge(RefreshArtifact(path));
  return touched;
}

std::set<std::string> LocalCluster::ReadFile(const std::string& path) {
  // The identity is taken first: if the file changes while it is read, it is read again.
  struct stat info{};
  if (::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode)) {
    seen_[path] = FileIdentity::Of(info);
  } else {
    seen_.erase(path);
  }
  absl::StatusOr<ManifestFile> file =
      ReadManifest(path, std::find(roots_.begin(), roots_.end(), path) != roots_.end());
  if (!file.ok()) {
    retry_.insert(path);
    seen_.erase(path);
    return {};
  }
  for (const std::string& warning : file->warnings)
    base::log::Warn("a document that looks like a manifest is passed over", {{"why", warning}});
  const std::lock_guard lock(mutex_);
  std::set<std::string> touched = index_.Replace(path, std::move(file->entries));
  touched.merge(ReplaceSecrets(path, std::move(file->secrets)));
  for (const std::string& key : touched) {
    if (index_.Find(key) == nullptr) statuses_.erase(key);
  }
  return touched;
}

std::set<std::string> LocalCluster::ReplaceSecrets(const std::string& path,
                                                   std::vector<SecretManifest> secrets) {
  const auto found = secrets_.find(path);
  if (found == secrets_.end() ? secrets.empty() : found->second == secrets) return {};
  ++secrets_version_;
  if (secrets.empty()) {
    secrets_.erase(path);
  } else {
    secrets_[path] = std::move(secrets);
  }
  std::set<std::string> users;
  for (const auto& [key, view] : index_.views()) {
    if (!view.function) continue;
    for (const Trigger& trigger : view.function->spec.triggers) {
      if (trigger.event && !trigger.event->message.secret_name().empty()) users.insert(key);
    }
  }
  return users;
}

std::set<std::string> LocalCluster::LinkArtifacts(const std::set<std::string>& functions) {
  std::set<std::string> fresh;
  {
    const std::lock_guard lock(mutex_);
    for (const std::string& key : functions) {
      const ManifestIndex::View* const view = index_.Find(key);
      const std::string path = view != nullptr && view->function ? view->function->spec.artifact.path : "";
      std::string& linked = artifact_paths_[key];
      if (linked != path) {
        if (const auto old = artifacts_of_.find(linked); old != artifacts_of_.end()) {
          old->second.functions.erase(key);
          if (old->second.functions.empty()) {
            artifact_folders_.erase(linked);
            artifacts_of_.erase(old);
          }
        }
        if (!path.empty()) {
          if (artifacts_of_[path].functions.insert(key).second) fresh.insert(path);
        }
        linked = path;
      }
      if (path.empty()) artifact_paths_.erase(key);
    }
  }
  for (const std::string& path : fresh)
    artifact_folders_[path] = NearestFolder(fs::path(path).parent_path().string());
  std::set<std::string> folders = manifest_folders_;
  for (const auto& [path, folder] : artifact_folders_) folders.insert(folder);
  const absl::Status status = watcher_->WatchOnly(folders);
  if (status.ok() != watching_all_) {
    watching_all_ = status.ok();
    if (!status.ok()) {
      base::log::Warn("folders are looked at every second instead of watched",
                      {{"why", std::string(status.message())}});
    }
  }
  std::set<std::string> touched;
  for (const std::string& path : fresh) touched.merge(RefreshArtifact(path));
  return touched;
}

std::set<std::string> LocalCluster::RefreshArtifact(const std::string& path) {
  // Its folder may have come or gone.
  const auto folder = artifact_folders_.find(path);
  if (folder != artifact_folders_.end()) {
    std::string nearest = NearestFolder(fs::path(path).parent_path().string());
    if (nearest != folder->second) {
      folder->second = std::move(nearest);
      if (absl::Status status = watcher_->Watch(folder->second); !status.ok()) watching_all_ = false;
    }
  }
  const absl::StatusOr<Snapshot> taken = artifacts_.Take(path);
  if (absl::IsUnavailable(taken.status())) {
    retry_.insert(path);
    return {};
  }
  const std::lock_guard lock(mutex_);
  const auto it = artifacts_of_.find(path);
  if (it == artifacts_of_.end()) return {};
  ArtifactState& state = it->second;
  if (taken.ok()) {
    if (state.snapshot && state.snapshot->sha256 == taken->sha256 && !state.problem) return {};
    state.snapshot = *taken;
    state.problem.reset();
    return state.functions;
  }
  unreadable_ = unreadable_ || !absl::IsNotFound(taken.status());
  v1::Problem problem =
      v1::MakeProblem("operator", absl::IsNotFound(taken.status()) ? "ArtifactMissing" : "ArtifactUnreadable",
                      absl::IsNotFound(taken.status())
                          ? absl::StrCat(path, " is not there yet: build it, or mend spec.artifact.path")
                          : std::string(taken.status().message()));
  if (state.problem && state.problem->message() == problem.message()) return {};
  state.problem = std::move(problem);
  return state.functions;
}

void LocalCluster::Collect() {
  std::set<std::string> needed;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [path, state] : artifacts_of_) {
      if (state.snapshot) needed.insert(state.snapshot->sha256);
    }
  }
  artifacts_.Collect(needed, SteadyClock::now(), options_.snapshot_linger);
}

void LocalCluster::Notify(const std::set<std::string>& functions) {
  for (const std::string& function : functions) Notify(function);
}

void LocalCluster::Notify(const std::string& function) {
  const std::lock_guard lock(watch_mutex_);
  if (changed_) changed_(function);
}

absl::Status LocalCluster::Watch(std::function<void(const std::string& function)> changed) {
  const std::lock_guard lock(watch_mutex_);
  changed_ = std::move(changed);
  for (const std::string& function : Functions()) changed_(function);
  return absl::OkStatus();
}

void LocalCluster::Unwatch() {
  const std::lock_guard lock(watch_mutex_);
  changed_ = nullptr;
}

std::vector<std::string> LocalCluster::Functions() const {
  std::vector<std::string> keys;
  const std::lock_guard lock(mutex_);
  for (const auto& [key, view] : index_.views()) keys.push_back(key);
  return keys;
}

absl::StatusOr<FunctionObject> LocalCluster::GetFunction(const std::string& function) const {
  FunctionObject object;
  const std::lock_guard lock(mutex_);
  const ManifestIndex::View* const view = index_.Find(function);
  if (view == nullptr) return absl::NotFoundError(absl::StrCat("there is no function ", function));
  object.function = view->function;
  object.problem = view->problem;
  object.secrets_version = secrets_version_;
  if (!object.function) return object;
  const Artifact& artifact = object.function->spec.artifact;
  if (!artifact.url.empty()) {
    object.artifact_sha256 = artifact.sha256;
    object.artifact_url = artifact.url;
    return object;
  }
  if (artifact.path.empty()) {
    object.artifact_problem = NotLocal(*object.function);
    return object;
  }
  const auto it = artifacts_of_.find(artifact.path);
  if (it == artifacts_of_.end() || (!it->second.snapshot && !it->second.problem)) {
    object.artifact_problem =
        v1::MakeProblem("operator", "ArtifactChanging", absl::StrCat(artifact.path, " is being written"));
    return object;
  }
  const ArtifactState& state = it->second;
  object.artifact_problem = state.problem;
  if (!state.snapshot) return object;
  if (!artifact.sha256.empty() && artifact.sha256 != state.snapshot->sha256) {
    object.artifact_problem = v1::MakeProblem(
        "operator", "DigestMismatch",
        absl::StrCat(artifact.path, " has SHA-256 ", state.snapshot->sha256, ", but spec.artifact.sha256 is ",
                     artifact.sha256, ": build it again, or mend the manifest"));
    return object;
  }
  object.artifact_sha256 = state.snapshot->sha256;
  object.artifact_path = state.snapshot->path;
  return object;
}

absl::StatusOr<SecretData> LocalCluster::GetSecret(const std::string& space, const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const SecretManifest* only = nullptr;
  std::string place;
  for (const auto& [path, secrets] : secrets_) {
    for (const SecretManifest& secret : secrets) {
      if (secret.name != name || secret.space != space) continue;
      if (only != nullptr) {
        return absl::InvalidArgumentError(absl::StrCat("Secret ", name, " is described more than once, by ",
                                                       place, " and ", path, ": remove all but one"));
      }
      only = &secret;
      place = path;
    }
  }
  if (only == nullptr) {
    return absl::NotFoundError(
        absl::StrCat("there is no Secret ", name, " in namespace ", space,
                     ": describe it beside the functions, in a manifest of apiVersion v1 and "
                     "kind Secret, with its keys and values in stringData"));
  }
  if (!only->problem.empty())
    return absl::InvalidArgumentError(absl::StrCat("Secret ", name, " of ", place, ": ", only->problem));
  return only->data;
}

std::vector<Replica> LocalCluster::Replicas(const std::string& function) const {
  return replicas_->List(function);
}

absl::StatusOr<std::string> LocalCluster::CreateReplica(const Function& function) {
  return replicas_->Create(function.Key());
}

absl::Status LocalCluster::DeleteReplica(const std::string& replica, milliseconds grace) {
  replicas_->Delete(replica, grace);
  return absl::OkStatus();
}

absl::Status LocalCluster::WriteStatus(const std::string& function, const FunctionStatus& status) {
  const std::lock_guard lock(mutex_);
  if (index_.Find(function) == nullptr) {
    return absl::NotFoundError(absl::StrCat("there is no function ", function));
  }
  statuses_[function] = status;
  return absl::OkStatus();
}

void LocalCluster::RecordEvent(const EventRecord& event) {
  log_.Append(event.function, "operator", absl::StrCat(event.reason, ": ", event.message));
  if (options_.on_event) options_.on_event(event);
}

std::optional<FunctionStatus> LocalCluster::Status(const std::string& function) const {
  const std::lock_guard lock(mutex_);
  const auto it = statuses_.find(function);
  if (it == statuses_.end()) return std::nullopt;
  return it->second;
}

std::vector<std::string> LocalCluster::ManifestFiles(const std::string& function) const {
  const std::lock_guard lock(mutex_);
  return index_.Files(function);
}

}  // namespace mayfly::op
