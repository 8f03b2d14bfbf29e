# Mayfly's images, from the sources: docs/how-to/images.md. `make images` builds them; so does
#
#   docker build --target runtime -t mayfly-runtime:0.1.0 .       also: gateway, operator, examples
#
# Each image holds its programs, the shared libraries that they load, and nothing else: no shell, no package manager. It
# runs as user 65532 with a read-only root file system and without capabilities.

# The stage that compiles. Its last layer has the root of each image in /image: `make images FROM_BUILD=1` puts a folder of
# this machine in its place (--build-context build=FOLDER).
FROM docker.io/library/debian:bookworm-slim AS build
WORKDIR /src
COPY scripts/apt-packages.txt scripts/install-packages scripts/
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked \
    --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    scripts/install-packages build
COPY . .
ARG JOBS=
ARG CCACHE_DIR=/cache/ccache
RUN --mount=type=cache,target=/cache/ccache \
    CCACHE_DIR=$CCACHE_DIR JOBS=$JOBS scripts/build release mayfly_images && scripts/image-roots build/release /image

FROM scratch AS operator
COPY --from=build /image/operator /
USER 65532:65532
ENTRYPOINT ["/usr/bin/mayfly-operator"]

FROM scratch AS gateway
COPY --from=build /image/gateway /
USER 65532:65532
ENTRYPOINT ["/usr/bin/mayfly-gateway"]

FROM scratch AS runtime
COPY --from=build /image/runtime /
USER 65532:65532
ENTRYPOINT ["/usr/bin/mayfly-runtime"]

# The runtime, and examples/ where their manifests look for them.
FROM runtime AS examples
COPY --from=build /image/examples /
