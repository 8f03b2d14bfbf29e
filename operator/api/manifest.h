// Manifests: YAML text in, valid Functions or every mistake out.
//
// A mistake names its place and its field, says what is wrong, and how to mend it:
//   examples/x.yaml:12:5: spec.scaling.minReplicas: "-1" is less than 0; use 0 or more
// All mistakes of a file are found in one go. The README of this folder lists every field, default and bound.
//
// Reads nothing but the text it is given (ReadManifestFile: the file). Never throws. Thread-safe.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "mayfly/v1/runtime.pb.h"
#include "operator/api/function.h"

namespace mayfly::op {

struct Mistake {
  std::string file;  // "" for an object of the API server
  int line = 1;      // 0 without a file
  int column = 1;
  std::string field;  // "spec.triggers[0].http.path"; "" if the whole document is meant
  std::string sentence;

  // "file:line:column: field: sentence"; without a file "field: sentence".
  std::string ToString() const;
};

// One document of a file.
struct ManifestDocument {
  // "namespace/name"; "" if they could not be read.
  std::string key;
  // Set if the document is a Function without a mistake.
  std::optional<Function> function;
  std::vector<Mistake> mistakes;
  // An object of another API group, or one that is for clusters alone: a caller that reads a folder may pass over it.
  bool foreign = false;
  // It looks like one of ours, and its apiVersion or kind says that it is not (a slip, most likely): who passes over it
  // says so. Its mistakes are the sentence.
  bool doubtful = false;
};

struct Manifest {
  // In order; empty documents are left out, and so are Secrets (secret_manifest.h).
  std::vector<ManifestDocument> documents;
  // Set if the file as a whole cannot be read: no YAML, too large. There are no documents then.
  std::vector<Mistake> mistakes;

  bool ok() const;
  // Those of the file, then those of its documents, in order.
  std::vector<Mistake> AllMistakes() const;
};

// `file` names the text in mistakes; a relative artifact.path is taken from its folder.
Manifest ParseManifest(std::string_view text, const std::filesystem::path& file);

// A file that cannot be read is a mistake, too.
Manifest ReadManifestFile(const std::filesystem::path& file);

// The Functions of a text that must have no mistake at all; else kInvalidArgument with all of them, one a
// line.
absl::StatusOr<std::vector<Function>> ParseFunctions(std::string_view text,
                                                     const std::filesystem::path& file);

// All mistakes as the problem that the cluster reports: component operator, reason InvalidManifest.
v1::Problem ToProblem(const std::vector<Mistake>& mistakes);

}  // namespace mayfly::op
