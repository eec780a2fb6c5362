# Stands in for apache/kafka where no registry is reached; see own.py.
ARG BASE
FROM ${BASE}
RUN useradd --uid 1000 --no-create-home appuser \
    && install -d -o appuser /opt/kafka/config /var/lib/kafka/data /mnt/shared/config \
    && install -d /etc/kafka/docker && touch /etc/kafka/docker/server.properties \
    && printf 'Configuration:\n  Loggers:\n    Root:\n      level: WARN\n' >/etc/kafka/docker/log4j2.yaml \
    && cp /etc/kafka/docker/log4j2.yaml /etc/kafka/docker/tools-log4j2.yaml
COPY libs /opt/kafka/libs
COPY kafka.sh /etc/kafka/docker/run
USER appuser
VOLUME /var/lib/kafka/data
CMD ["sh", "/etc/kafka/docker/run"]
