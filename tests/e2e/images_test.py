"""The harness: images built from a Dockerfile."""

import pathlib
import tempfile
import unittest

from cluster import containers, layout
from e2e.case import ClusterCase

DOCKERFILE = """\
FROM debian:bookworm-slim AS build
RUN --mount=type=cache,target=/cache echo "built on $(cat /etc/debian_version)" > /said

FROM debian:bookworm-slim
COPY --from=build /said /said
USER 65532
CMD ["sh", "-c", "cat /said; id -u; exec sleep 600"]
"""


class Images(ClusterCase):
    def test_are_built_in_stages_and_run_as_their_user(self):
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "Dockerfile").write_text(DOCKERFILE)
            archive = containers.build(folder, "localhost/built:1", layout.STATE / "built.tar")
        self.cluster.load_image(archive)
        self.start_pod("built", image="localhost/built:1", container={"readinessProbe": None})
        self.assertRegex(self.cluster.logs("built", self.namespace), r"built on 12\.\d+\n65532\n")


if __name__ == "__main__":
    unittest.main()
