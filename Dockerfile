# Three images, one target each: apmapp (the default), loadgen and localagent.
# deploy/compose and deploy/kubernetes use them. To build one by hand:
#
#   docker build -t apmapp --build-arg VERSION="$(git describe --tags --always)" \
#       --build-arg REVISION="$(git rev-parse HEAD)" .
#
# Two builds of one commit make the same image if both set SOURCE_DATE_EPOCH, as "make
# image" does: the time of the program's file is part of its layer. "make base-images"
# raises the digests of the base images.
#
# Each image contains one static program and no shell. So the image that serves in
# production does not contain a load generator.

FROM --platform=$BUILDPLATFORM docker.io/library/golang:1.26-alpine@sha256:b6890e35ded5d19118c2bca3d7754dc4e6f694aac2d0aeb92f9807c2879e4230 AS source
WORKDIR /src
COPY . .
# Go cross-compiles, so a build for another platform needs no emulation.
ARG TARGETOS
ARG TARGETARCH
ARG VERSION
ARG REVISION
ARG GOPROXY
ARG SOURCE_DATE_EPOCH=0
ENV CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH SOURCE_DATE_EPOCH=$SOURCE_DATE_EPOCH \
    LDFLAGS="-s -w -X apmapp/internal/build.version=$VERSION -X apmapp/internal/build.revision=$REVISION"

FROM source AS build-apmapp
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    go build -trimpath -buildvcs=false -ldflags "$LDFLAGS" -o /out/apmapp ./cmd/apmapp && \
    touch -d "@$SOURCE_DATE_EPOCH" /out/apmapp

FROM source AS build-loadgen
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    go build -trimpath -buildvcs=false -ldflags "$LDFLAGS" -o /out/loadgen ./loadgen && \
    touch -d "@$SOURCE_DATE_EPOCH" /out/loadgen

FROM source AS build-localagent
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    go build -trimpath -buildvcs=false -ldflags "$LDFLAGS" -o /out/localagent ./cmd/localagent && \
    touch -d "@$SOURCE_DATE_EPOCH" /out/localagent

# CA certificates, time zones, a user that is not root, and no shell.
FROM gcr.io/distroless/static-debian12:nonroot@sha256:afa5c872c891853ca7fcf1f12c3edb23f7eeef36189728842dd51042ff57f7ab AS runtime
# A number, because Kubernetes' runAsNonRoot cannot look up a name.
USER 65532:65532
ARG VERSION
ARG REVISION
# The URL of the repository, without credentials.
ARG SOURCE
LABEL org.opencontainers.image.licenses=Apache-2.0 \
      org.opencontainers.image.version=$VERSION \
      org.opencontainers.image.revision=$REVISION \
      org.opencontainers.image.source=$SOURCE
# The tracer and the profiler send these; Datadog links them to the source code.
ENV DD_VERSION=$VERSION \
    DD_GIT_COMMIT_SHA=$REVISION \
    DD_GIT_REPOSITORY_URL=$SOURCE

FROM runtime AS localagent
LABEL org.opencontainers.image.title=localagent \
      org.opencontainers.image.description="A local replacement for the Datadog Agent: receives traces, profiles and metrics, and shows them as pages"
COPY --from=build-localagent /out/localagent /localagent
EXPOSE 8126 8125/udp 4317 4318 8127
ENTRYPOINT ["/localagent"]
# Not the loopback address: other containers could not connect to it.
CMD ["-addr", "0.0.0.0:8126", "-dogstatsd", "0.0.0.0:8125", "-otlp-grpc", "0.0.0.0:4317", "-otlp-http", "0.0.0.0:4318", "-pages", "0.0.0.0:8127", "-definitions", "embedded"]

FROM runtime AS loadgen
LABEL org.opencontainers.image.title=loadgen \
      org.opencontainers.image.description="Sends HTTP requests at a steady rate and reports their latencies and errors"
COPY --from=build-loadgen /out/loadgen /loadgen
ENTRYPOINT ["/loadgen"]

FROM runtime AS apmapp
LABEL org.opencontainers.image.title=apmapp \
      org.opencontainers.image.description="A small Go web service on MySQL, traced, logged and profiled with Datadog APM"
COPY --from=build-apmapp /out/apmapp /apmapp
EXPOSE 5050
ENTRYPOINT ["/apmapp"]
# The service listens within 10 s of its start, even without its database.
HEALTHCHECK --interval=10s --timeout=6s --start-period=10s --retries=3 CMD ["/apmapp", "-healthcheck"]
