#!/bin/bash
# Create a database and its owner for Orthanc's index, and for the gateway; neither has access to the other's.
# PostgreSQL's image runs this once, for a new volume.
set -euo pipefail

make_database() {
    name=$1 password=$2 psql --no-psqlrc --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres <<'SQL'
\getenv name name
\getenv password password
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL
}

make_database orthanc "$(cat "$ORTHANC_DATABASE_PASSWORD_FILE")"
make_database gateway "$(cat "$GATEWAY_DATABASE_PASSWORD_FILE")"
