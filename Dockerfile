# The gateway with its pages, for an Orthanc (ORTHANC_BASE_URL) and a PostgreSQL database (DATABASE_URL).

FROM node:22-bookworm-slim AS web
WORKDIR /build/orthancproxy/web
COPY orthancproxy/web/package.json orthancproxy/web/package-lock.json ./
# a mirror of the npm registry, for builds without Internet access
ARG NPM_CONFIG_REGISTRY
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY orthancproxy/web ./
# the types of the page's operations are generated from it
COPY schema/schema.graphql /build/schema/
RUN npm run build


# the OHIF viewer, which docker-compose.yml has for those who want it
FROM node:22-bookworm-slim AS ohif
WORKDIR /build
COPY dev/install-ohif dev/find-node dev/
COPY orthancproxy/project/ohif-config.js orthancproxy/project/
ARG NPM_CONFIG_REGISTRY
RUN dev/install-ohif
# into a volume, of which the gateway serves it
CMD ["cp", "-r", "/build/.ohif/.", "/srv/ohif/"]


FROM python:3.11-slim-bookworm AS app
WORKDIR /srv/gateway
COPY requirements.txt requirements-tracing.txt ./
# requirements-tracing.txt for an image that can send traces
ARG GATEWAY_REQUIREMENTS=requirements.txt
# a mirror of PyPI, for builds without Internet access
ARG PIP_INDEX_URL
RUN python -m venv --without-pip /opt/venv \
    && pip --python /opt/venv/bin/python --disable-pip-version-check \
        install --no-cache-dir --only-binary :all: --require-hashes -r "$GATEWAY_REQUIREMENTS" \
    && rm requirements.txt requirements-tracing.txt
COPY manage.py LICENSE ./
COPY docker/entrypoint docker/healthcheck docker/
# orthancproxy/schema is a symbolic link to schema/, which COPY keeps and compileall does not follow
COPY schema schema
COPY orthancproxy orthancproxy
# front-end sources, and development tools that need numpy
RUN rm -r orthancproxy/web orthancproxy/sandbox orthancproxy/management/commands/sandbox.py
COPY --from=web /build/orthancproxy/static orthancproxy/static
# without a key, one would be generated and kept in the image, shared by all deployments
RUN DJANGO_SECRET_KEY=unused-at-build-time /opt/venv/bin/python manage.py collectstatic --noinput \
    && /opt/venv/bin/python -m compileall -q --invalidation-mode unchecked-hash orthancproxy schema


FROM python:3.11-slim-bookworm
ARG VERSION=unknown
LABEL org.opencontainers.image.title="Orthanc GraphQL gateway" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TMPDIR=/var/spool/gateway
RUN groupadd --gid 10001 gateway \
    && useradd --uid 10001 --gid gateway --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin gateway
COPY --from=app /opt/venv /opt/venv
COPY --from=app /srv/gateway /srv/gateway
WORKDIR /srv/gateway
# written to only if DATABASE_URL or DJANGO_SECRET_KEY is unset
RUN chown gateway:gateway .data && chmod 755 .data
# the spool of uploads; a new volume that is mounted here gets this owner
RUN install --directory --owner=gateway --group=gateway --mode=700 "$TMPDIR"
# numeric, so that Kubernetes can verify that it is not root
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["docker/healthcheck"]
ENTRYPOINT ["docker/entrypoint"]
