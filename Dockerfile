# The images of Weir: a program, whom it trusts, what it is made of, and nothing else.
#
#     docker build --target weir --tag weir:0.1.0 .
#     docker build --target agent --tag weir-agent:0.1.0 .
#     docker buildx build --platform linux/amd64,linux/arm64 --target weir .
#
# The programs are linked statically, with glibc too, so that there is no base image to keep up to date. For another
# platform they are built by the compilers of this one. With `--build-arg PROGRAMS=prebuilt` they are those that
# `scripts/static.sh target/image` made.
ARG PROGRAMS=build

FROM --platform=$BUILDPLATFORM rust:1.95-bookworm AS build
ARG TARGETARCH
WORKDIR /weir
COPY . .
RUN case "$TARGETARCH" in arm64) export ARCH=aarch64 ;; amd64) export ARCH=x86_64 ;; esac; scripts/static.sh /programs

FROM scratch AS prebuilt
COPY target/image /programs

FROM ${PROGRAMS} AS programs

FROM scratch AS base
COPY --from=programs /programs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=programs /programs/licences /usr/share/licences
COPY LICENSE NOTICE /usr/share/licences/
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.vendor="The Weir developers" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# Captures as root with NET_RAW as its only capability, and gives that up once its interfaces are open. To replay captures
# it needs neither.
FROM base AS agent
LABEL org.opencontainers.image.title="weir-agent" \
      org.opencontainers.image.description="Weir's capture side: packets in, packet batches to Kafka"
COPY --from=programs /programs/weir-agent.cdx.json /usr/share/sbom/weir-agent.cdx.json
COPY --from=programs /programs/weir-agent /weir-agent
USER 0:0
EXPOSE 9477
ENTRYPOINT ["/weir-agent"]

# Processor, sink, and the commands of an operator.
FROM base AS weir
LABEL org.opencontainers.image.title="weir" \
      org.opencontainers.image.description="Weir: typed, joinable records from network traffic"
COPY --from=programs /programs/weir.cdx.json /usr/share/sbom/weir.cdx.json
COPY --from=programs /programs/weir /weir
USER 65532:65532
EXPOSE 9478 9479
ENTRYPOINT ["/weir"]
