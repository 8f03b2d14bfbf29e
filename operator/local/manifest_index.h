// A ManifestIndex says which functions there are, from what each manifest file says.
//
// It remembers the last good version of each function: a file that becomes wrong keeps its functions, with a
// problem beside them. A function that two files describe has a problem that names both, and the last good
// version, if any. When no file describes a function any more, it is gone.
//
// Pure: reads no file. Not thread-safe.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "operator/api/function.h"

namespace mayfly::op {

// One document of a manifest file.
struct ManifestEntry {
  std::string key;                           // "namespace/name"; "" if the document is too broken to tell
  std::shared_ptr<const Function> function;  // null if the document is invalid
  std::optional<v1::Problem> problem;        // set if the document is invalid
};

class ManifestIndex {
 public:
  struct View {
    std::shared_ptr<const Function> function;
    std::optional<v1::Problem> problem;
  };

  // What `file` says now; without entries the file is gone, or describes no function. Returns the functions
  // whose view may have changed.
  std::set<std::string> Replace(const std::string& file, std::vector<ManifestEntry> entries);

  // Null if there is no such function.
  const View* Find(const std::string& key) const;
  const std::map<std::string, View>& views() const { return views_; }
  // The files that describe `key`.
  std::vector<std::string> Files(const std::string& key) const;

 private:
  void Resolve(const std::string& key);

  std::map<std::string, std::map<std::string, std::vector<ManifestEntry>>> claims_;  // key → file → documents
  std::map<std::string, std::set<std::string>> keys_;                                // file → keys
  std::map<std::string, View> views_;
  std::map<std::string, std::int64_t> generations_;
};

}  // namespace mayfly::op
