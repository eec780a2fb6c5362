# Stands in for mongo where no registry is reached; see own.py.
ARG BASE
FROM ${BASE}
RUN useradd --uid 999 --create-home mongodb && install -d -o mongodb /data/db
COPY mongosh /opt/mongosh
COPY node mongod /usr/local/bin/
RUN ln -s /opt/mongosh/node_modules/mongosh/bin/mongosh.js /usr/local/bin/mongosh
USER mongodb
VOLUME /data/db
EXPOSE 27017
CMD ["mongod", "--bind_ip_all"]
