#!/bin/sh
# Fetches what no Python package holds to var/parts: Apache Kafka (Maven), Prometheus and libfaketime (Debian). Installs nothing.
# Each part on its own: what cannot be had is told, and only what needs it is skipped. Exit code 0 if one could be had.
cd "$(dirname "$0")/.." || exit 1
parts=$PWD/var/parts
mkdir -p "$parts"
had=0

if ls "$parts"/kafka/kafka_*.jar >/dev/null 2>&1; then
    echo "kafka: there"; had=1
elif ! command -v mvn >/dev/null 2>&1; then
    echo "kafka: skipped, there is no Maven (mvn) on PATH"
elif mvn --quiet --batch-mode --file deploy/cluster/pom.xml dependency:copy-dependencies \
        -DoutputDirectory="$parts/kafka.part" >"$parts/maven.log" 2>&1; then
    mv "$parts/kafka.part" "$parts/kafka"
    echo "kafka: fetched, $(ls "$parts/kafka" | wc -l) jars"; had=1
else
    rm -rf "$parts/kafka.part"
    echo "kafka: skipped, Maven could not fetch it ($parts/maven.log)"
fi

# package NAME FILE PACKAGE: unpacks a Debian package to $parts/NAME, if its file is not there yet.
package() {
    if ls "$parts/$1"/$2 >/dev/null 2>&1; then
        echo "$1: there"; had=1; return
    elif ! command -v apt-get >/dev/null 2>&1 || ! command -v dpkg >/dev/null 2>&1; then
        echo "$1: skipped, this is no Debian"; return
    fi
    folder=$(mktemp -d)
    # A machine that has never looked for packages has no list of them yet; only root may fetch one.
    if (cd "$folder" && { apt-get download "$3" || { apt-get update && apt-get download "$3"; }; }) \
            >"$parts/apt.log" 2>&1 && dpkg -x "$folder/$3"_*.deb "$parts/$1"; then
        echo "$1: unpacked"; had=1
    else
        echo "$1: skipped, apt-get could not fetch it ($parts/apt.log)"
    fi
    rm -rf "$folder"
}
package prometheus usr/bin/prometheus prometheus
package faketime 'usr/lib/*/faketime/libfaketime.so.1' libfaketime
[ $had = 1 ]
