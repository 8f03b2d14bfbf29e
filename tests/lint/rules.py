"""What the tree promises about itself, as tables. lint.py checks them; change a rule here, in one place."""

# Who may include whom. A folder may include itself and what its row lists; a row of a parent holds for its folders
# too. Read docs/architecture.md for why: operator/, gateway/ and runtime/ are processes, and meet only in proto/.
INCLUDES = {
    "base": [],
    "proto": [],
    "sdk": [],
    "admin": ["base"],
    "tls": ["base"],
    "runtime": ["base", "proto", "sdk"],
    "runtime/artifacts": ["runtime/pool"],
    "runtime/ipc": [],
    "runtime/loader": [],
    "runtime/worker": ["runtime/ipc", "runtime/loader"],
    "runtime/pool": ["runtime/ipc", "runtime/loader", "runtime/symbolizer", "runtime/worker"],
    "runtime/server": ["admin", "runtime/artifacts", "runtime/ipc", "runtime/loader", "runtime/pool", "tls"],
    "runtime/symbolizer": ["runtime/worker"],
    "runtime/bin": ["admin", "runtime", "tls"],
    "gateway": ["base", "proto", "tls"],
    "gateway/routing": [],
    "gateway/activation": ["gateway/delivery", "gateway/metering"],
    "gateway/delivery": ["gateway/client", "gateway/sources", "gateway/store"],
    "gateway/control": [],
    "gateway/client": [],
    "gateway/sources": ["gateway/client"],
    "gateway/store": ["gateway/sources"],
    "gateway/metering": [],
    "gateway/http": ["gateway/delivery", "gateway/routing", "gateway/sources"],
    "gateway/bin": ["admin", "gateway"],
    "operator": ["base", "proto"],
    "operator/api": [],
    "operator/autoscaler": ["operator/api"],
    "operator/control": [],
    "operator/controller": ["operator/api"],
    "operator/external_scaler": ["operator/autoscaler"],
    "operator/kube": ["operator/api"],
    "operator/leases": [],
    "operator/local": ["operator/api", "operator/controller"],
    "operator/pki": ["operator/kube", "tls"],
    "operator/pods": ["operator/api", "operator/controller", "operator/kube", "operator/pools"],
    "operator/pools": ["operator/api", "operator/control", "operator/controller"],
    "operator/simulation": ["operator/autoscaler"],
    "operator/bin": ["admin", "operator", "tls"],
    "operator/metering": ["operator/api"],
    "operator/reconcilers": ["operator/api", "operator/autoscaler", "operator/control", "operator/controller",
                             "operator/leases", "operator/metering"],
    "cli": ["admin", "base", "gateway", "operator", "proto", "sdk"],
    "examples": ["sdk"],
    "tests": ["admin", "base", "cli", "gateway", "operator", "proto", "runtime", "sdk", "tls"],
}

# What a test may include beyond its folder's row: fakes and fixtures.
TEST_INCLUDES = ["tests"]

# Modules as users write them: they include what lies beside them by its name alone.
STANDALONE = ["examples", "tests/modules"]

# Libraries of others that one folder wraps, so that replacing one, or its exceptions, is that folder's business.
# Tests and benchmarks may include any.
LIBRARY_OWNERS = {
    r"archive\.h|archive_entry\.h": ["runtime/artifacts"],
    r"boost/": ["admin", "gateway/http"],
    r"CLI/": ["cli", "gateway/bin", "operator/bin", "runtime/bin"],
    r"curl/": ["cli", "gateway/client", "operator/kube", "runtime/artifacts"],
    r"dlfcn\.h": ["runtime/worker", "sdk"],
    r"dwarf\.h|elfutils/": ["runtime/symbolizer"],
    r"gelf\.h|libelf\.h": ["runtime/loader", "runtime/symbolizer"],
    r"grpcpp/": ["cli", "gateway/control", "gateway/delivery", "operator/control",
                   "operator/external_scaler", "runtime/bin", "runtime/server", "tls"],
    r"hiredis/": ["gateway/sources/redis"],
    r"httplib\.h": ["cli", "runtime/artifacts"],
    r"libpq-fe\.h": ["gateway/sources/postgres"],
    r"librdkafka/": ["gateway/sources/kafka"],
    r"nats\.h|nats/nats\.h": ["gateway/sources/nats"],
    r"openssl/(pem|x509)": ["gateway/sources/redis", "gateway/sources/webhook", "tls"],
    r"prometheus/": ["admin", "base"],
    r"seccomp\.h": ["runtime/symbolizer", "runtime/worker"],
    r"sqlite3\.h": ["gateway/store/sqlite"],
    r"simdjson\.h": ["operator/api", "operator/kube"],
    r"vips/": ["examples"],
    r"yaml-cpp/": ["cli", "operator/api"],
}

# Headers of these are slow to compile, and stay in .cc files (and in the headers of a folder that lists itself here).
SLOW_HEADERS = {
    r"boost/asio\.hpp|boost/beast\.hpp|boost/beast/": ["gateway/http"],
    r"grpcpp/|.*\.grpc\.pb\.h": ["gateway/delivery", "operator/control", "runtime/server", "tls"],
    r"curl/curl\.h": [],
    r"httplib\.h": ["runtime/artifacts"],
    r"nlohmann/json\.hpp": ["gateway/sources"],
    r"sqlite3\.h": ["gateway/store/sqlite"],
    r"simdjson\.h": [],
    r"yaml-cpp/": [],
}

MAX_LINES = 600

# Prose that must not be in the tree, and what to write instead. Written in pieces, so that this file passes.
FORBIDDEN = {
    r"(?<![\w./~-])/" + r"(work|root)/[\w.]": "an absolute path of one machine: make it relative, or take it from the environment",
    r"py" + r"pi\.org|files\.python" + r"hosted\.org|registry\.npm" + r"js\.org|static\.crates" + r"\.io|index\.crates"
    + r"\.io|proxy\.go" + r"lang\.org|repo1\.ma" + r"ven\.org|deb\.deb" + r"ian\.org": "a package registry's host: name the package, its client knows the host",
    r"<<<<" + r"<<< |>>>>" + r">>> ": "a merge conflict",
}
