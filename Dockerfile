# One image for the webserver, the daemon, the code server and `locutus`, without root.
#
#   docker build -t locutus-dagster .
#   docker run -v locutus:/var/lib/locutus locutus-dagster locutus load-manifest /manifests/batch.csv
#
# The command decides what a container is:
#   dagster-webserver -h 0.0.0.0 -w /opt/locutus/workspace.yaml
#   dagster-daemon run -w /opt/locutus/workspace.yaml
#   dagster code-server start -h 0.0.0.0 -p 4000 -m locutus_dagster.definitions
FROM python:3.11-slim

RUN useradd --create-home --uid 10001 locutus \
    && install -d -o locutus -g locutus -m 0700 /var/lib/locutus

WORKDIR /opt/locutus
COPY pyproject.toml constraints.txt README.md LICENSE workspace.yaml ./
COPY locutus_dagster ./locutus_dagster
RUN python -m pip install --no-cache-dir --constraint constraints.txt '.[all]'

USER locutus
ENV LOCUTUS_HOME=/var/lib/locutus \
    DAGSTER_HOME=/var/lib/locutus/dagster \
    DAGSTER_DISABLE_TELEMETRY=1
VOLUME /var/lib/locutus
CMD ["locutus", "--help"]
