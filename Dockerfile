# The gateway, with its GraphiQL page, for a PostgreSQL database (DATABASE_URL) and an Orthanc (ORTHANC_BASE_URL).

FROM node:22-bookworm-slim AS web
WORKDIR /build/web
COPY orthancproxy/web/package.json orthancproxy/web/package-lock.json ./
# a mirror of the npm registry, where there is no Internet
ARG NPM_CONFIG_REGISTRY
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY orthancproxy/web ./
RUN npm run build -- --logLevel warn


FROM python:3.11-slim-bookworm AS app
WORKDIR /srv/gateway
COPY requirements.txt ./
# a mirror of PyPI, where there is no Internet
ARG PIP_INDEX_URL
RUN python -m venv --without-pip /opt/venv \
    && pip --python /opt/venv/bin/python --disable-pip-version-check \
        install --no-cache-dir --only-binary :all: --require-hashes -r requirements.txt \
    && rm requirements.txt
COPY manage.py LICENSE ./
COPY docker/entrypoint docker/healthcheck docker/
COPY schema schema
COPY orthancproxy orthancproxy
RUN rm -r orthancproxy/web
COPY --from=web /build/static orthancproxy/static
# with a key given, none is made and kept in the image, where every deployment would share it
RUN DJANGO_SECRET_KEY=unused-at-build-time /opt/venv/bin/python manage.py collectstatic --noinput \
    && /opt/venv/bin/python -m compileall -q --invalidation-mode unchecked-hash orthancproxy schema


FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="Orthanc GraphQL gateway" \
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
# written to only without DATABASE_URL or DJANGO_SECRET_KEY
RUN chown gateway:gateway .data && chmod 755 .data
# uploads, while they are at work; a new volume that is mounted there gets this owner
RUN install --directory --owner=gateway --group=gateway --mode=700 "$TMPDIR"
# a number, by which Kubernetes can tell that it is not root
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["docker/healthcheck"]
ENTRYPOINT ["docker/entrypoint"]
