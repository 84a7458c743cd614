# The images, a target each: apmapp (the default), loadgen and localagent.
# deploy/compose and deploy/kubernetes use them; by hand:
#
#   docker build -t apmapp --build-arg VERSION="$(git describe --tags --always)" \
#       --build-arg REVISION="$(git rev-parse HEAD)" .
#
# Each holds one static program and nothing to log into: what serves in
# production does not carry a load generator along.

FROM --platform=$BUILDPLATFORM docker.io/library/golang:1.26-alpine AS source
WORKDIR /src
COPY . .
# Go builds for any platform on any platform: nothing is emulated.
ARG TARGETOS
ARG TARGETARCH
ARG VERSION
ARG REVISION
ARG GOPROXY
ENV CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    LDFLAGS="-s -w -X apmapp/internal/build.version=$VERSION -X apmapp/internal/build.revision=$REVISION"

FROM source AS build-apmapp
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    go build -trimpath -buildvcs=false -ldflags "$LDFLAGS" -o /out/apmapp ./cmd/apmapp

FROM source AS build-loadgen
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    go build -trimpath -buildvcs=false -ldflags "$LDFLAGS" -o /out/loadgen ./loadgen

FROM source AS build-localagent
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    go build -trimpath -buildvcs=false -ldflags "$LDFLAGS" -o /out/localagent ./cmd/localagent

# CA certificates, time zones, a user that is not root, and no shell.
FROM gcr.io/distroless/static-debian12:nonroot AS runtime
# By number: Kubernetes' runAsNonRoot cannot tell who a name is.
USER 65532:65532
ARG VERSION
ARG REVISION
# The repository's URL, without credentials.
ARG SOURCE
LABEL org.opencontainers.image.version=$VERSION \
      org.opencontainers.image.revision=$REVISION \
      org.opencontainers.image.source=$SOURCE
# The tracer and the profiler join what they send to the code by these.
ENV DD_VERSION=$VERSION \
    DD_GIT_COMMIT_SHA=$REVISION \
    DD_GIT_REPOSITORY_URL=$SOURCE

FROM runtime AS localagent
LABEL org.opencontainers.image.title=localagent \
      org.opencontainers.image.description="Stands in the Datadog Agent's place: takes traces, profiles and metrics, and shows them as pages"
COPY --from=build-localagent /out/localagent /localagent
EXPOSE 8126 8125/udp 8127
ENTRYPOINT ["/localagent"]
# A container's own loopback is nobody else's.
CMD ["-addr", "0.0.0.0:8126", "-dogstatsd", "0.0.0.0:8125", "-pages", "0.0.0.0:8127"]

FROM runtime AS loadgen
LABEL org.opencontainers.image.title=loadgen \
      org.opencontainers.image.description="Sends HTTP requests at a steady rate and says how they fared"
COPY --from=build-loadgen /out/loadgen /loadgen
ENTRYPOINT ["/loadgen"]

FROM runtime AS apmapp
LABEL org.opencontainers.image.title=apmapp \
      org.opencontainers.image.description="A small Go web service on MySQL, traced, logged and profiled with Datadog APM"
COPY --from=build-apmapp /out/apmapp /apmapp
EXPOSE 5050
ENTRYPOINT ["/apmapp"]
# Within 10 s of its start the service listens, whatever its database does.
HEALTHCHECK --interval=10s --timeout=6s --start-period=10s --retries=3 CMD ["/apmapp", "-healthcheck"]
