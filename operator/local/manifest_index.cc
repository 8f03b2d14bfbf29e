#include "operator/local/manifest_index.h"

#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/problem.h"

namespace mayfly::op {
namespace {

// The name that a function goes by whose manifest does not tell it: the file's, made a valid one.
std::string KeyFor(const std::string& file) {
  std::string name;
  for (const char c : std::filesystem::path(file).stem().string()) {
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
      name += c;
    } else if (c >= 'A' && c <= 'Z') {
      name += static_cast<char>(c - 'A' + 'a');
    } else if (!name.empty() && name.back() != '-') {
      name += '-';
    }
  }
  while (!name.empty() && name.back() == '-') name.pop_back();
  return absl::StrCat("default/", name.empty() ? "unnamed" : name);
}

v1::Problem Duplicate(const std::string& key, const std::vector<std::string>& places) {
  return v1::MakeProblem("operator", "DuplicateFunction",
                         absl::StrCat("function ", key, " is described more than once, by ",
                                      absl::StrJoin(places, " and "), ": rename or remove all but one"));
}

// Appends what `more` says to `problem`, which does not grow beyond what somebody reads.
void Merge(std::optional<v1::Problem>& problem, const v1::Problem& more) {
  constexpr std::size_t kLongest = 64u << 10;
  if (problem && problem->message().size() + more.message().size() > kLongest) return;
  if (!problem) {
    problem = more;
  } else if (problem->message() != more.message()) {
    problem->set_message(absl::StrCat(problem->message(), "; ", more.message()));
  }
}

}  // namespace

std::set<std::string> ManifestIndex::Replace(const std::string& file, std::vector<ManifestEntry> entries) {
  std::set<std::string> before = std::exchange(keys_[file], {});
  std::set<std::string> named;
  for (const ManifestEntry& entry : entries) {
    if (!entry.key.empty()) named.insert(entry.key);
  }
  // A document that no longer tells its name is taken for those of this file's functions that are missing
  // from it.
  std::set<std::string> missing;
  for (const std::string& key : before) {
    if (!named.contains(key)) missing.insert(key);
  }
  if (missing.empty()) missing.insert(KeyFor(file));

  for (const std::string& key : before) {
    const auto it = claims_.find(key);
    if (it == claims_.end()) continue;
    it->second.erase(file);
    if (it->second.empty()) claims_.erase(it);
  }
  std::set<std::string>& now = keys_[file];
  for (ManifestEntry& entry : entries) {
    if (entry.key.empty()) {
      for (const std::string& key : missing) {
        claims_[key][file].push_back(ManifestEntry{key, nullptr, entry.problem});
        now.insert(key);
      }
    } else {
      now.insert(entry.key);
      claims_[entry.key][file].push_back(std::move(entry));
    }
  }
  std::set<std::string> touched = std::move(before);
  touched.insert(now.begin(), now.end());
  if (now.empty()) keys_.erase(file);
  for (const std::string& key : touched) Resolve(key);
  return touched;
}

void ManifestIndex::Resolve(const std::string& key) {
  const auto claim = claims_.find(key);
  if (claim == claims_.end()) {
    views_.erase(key);
    generations_.erase(key);
    return;
  }
  View& view = views_[key];
  view.problem.reset();
  // A file that describes it twice is named twice, and not more often.
  std::vector<std::string> places;
  const ManifestEntry* only = nullptr;
  for (const auto& [file, entries] : claim->second) {
    for (const ManifestEntry& entry : entries) {
      if (places.size() < 2 || places[places.size() - 2] != file) places.push_back(file);
      only = &entry;
    }
  }
  if (places.size() > 1) {
    // Two broken documents without names in one file are two mistakes, not a function described twice.
    bool all_broken = true;
    for (const auto& [file, entries] : claim->second) {
      for (const ManifestEntry& entry : entries) all_broken = all_broken && !entry.function;
    }
    if (!all_broken || claim->second.size() > 1) {
      view.problem = Duplicate(key, places);
    } else {
      for (const ManifestEntry& entry : claim->second.begin()->second) {
        if (entry.problem) Merge(view.problem, *entry.problem);
      }
    }
    return;
  }
  if (!only->function) {
    view.problem = only->problem;
    return;
  }
  if (view.function) {
    Function same = *only->function;
    same.generation = view.function->generation;
    if (same == *view.function) return;
  }
  Function accepted = *only->function;
  accepted.generation = ++generations_[key];
  view.function = std::make_shared<const Function>(std::move(accepted));
}

const ManifestIndex::View* ManifestIndex::Find(const std::string& key) const {
  const auto it = views_.find(key);
  return it == views_.end() ? nullptr : &it->second;
}

std::vector<std::string> ManifestIndex::Files(const std::string& key) const {
  std::vector<std::string> files;
  const auto it = claims_.find(key);
  if (it == claims_.end()) return files;
  for (const auto& [file, entries] : it->second) files.push_back(file);
  return files;
}

}  // namespace mayfly::op
