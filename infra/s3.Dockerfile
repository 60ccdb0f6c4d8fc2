# The S3 server, built from its Go module: there is no image or package of this version. Never built as written
# where it was written (no container engine there); `go install` of the same module and the server's command are
# what `make stack` and the tests run.
FROM golang:1.24.8-bookworm AS build
ARG MODULE=github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c
ENV CGO_ENABLED=0 GOFLAGS=-trimpath
RUN go install "$MODULE"

FROM alpine:3.22.1
RUN adduser -D -H -u 10001 s3 && mkdir /data && chown 10001:10001 /data
COPY --from=build /go/bin/minio /usr/local/bin/minio
ENV MINIO_UPDATE=off
USER 10001:10001
VOLUME /data
EXPOSE 9000
HEALTHCHECK --interval=10s --timeout=5s CMD ["wget", "-q", "-O", "/dev/null", "http://127.0.0.1:9000/minio/health/ready"]
CMD ["minio", "server", "/data", "--address", ":9000", "--quiet"]
