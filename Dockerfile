# syntax=docker/dockerfile:1

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --bin trunkline

FROM debian:bookworm-slim
# The system's root certificates, for providers behind a private authority that is added to them.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --user-group --no-create-home --home-dir /var/lib/trunkline trunkline \
    && install -d -o trunkline -g trunkline -m 0750 /var/lib/trunkline
COPY --from=build /src/target/release/trunkline /usr/local/bin/trunkline
COPY LICENSE /usr/share/doc/trunkline/LICENSE

# The books live here: mount a volume that outlives the container.
ENV TRUNKLINE_DATA_DIR=/var/lib/trunkline
VOLUME /var/lib/trunkline
WORKDIR /var/lib/trunkline
USER 10001:10001
EXPOSE 4000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=3s --start-period=10s --retries=3 CMD ["trunkline", "healthcheck", "--port", "4000"]

# Listens for other containers, so a master key is needed: without LITELLM_MASTER_KEY only the health routes answer.
ENTRYPOINT ["trunkline"]
CMD ["--host", "0.0.0.0", "--port", "4000"]
