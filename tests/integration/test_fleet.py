"""Services as processes: started, killed, restarted and stopped. A tiny HTTP program stands in for each service."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import httpx
import pytest

from deploy.local.engines import EngineUrls
from deploy.local.errors import ServiceStartFailed
from deploy.local.fleet import SERVICES, Fleet, serve_command
from deploy.local.process import LOOPBACK, pick_port

URLS = EngineUrls(kafka="broker:9092", mongo="mongodb://store/?replicaSet=rs0")

# Behaves as its name says: "stubborn" ignores SIGTERM, "broken" ends, "slow" is never ready; /env/X tells a variable.
STAND_IN = """
import http.server, os, signal, sys
name, port = sys.argv[1], int(sys.argv[2])
if name == "broken":
    sys.exit("the master key file is missing")
signal.signal(signal.SIGTERM, signal.SIG_IGN if name == "stubborn" else lambda *_: sys.exit(0))

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = os.environ.get(self.path.rpartition("/")[2], name).encode()
        self.send_response(503 if name == "slow" and self.path == "/health/ready" else 200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


def stand_in(service: str, port: int) -> list[str]:
    return [sys.executable, "-c", STAND_IN, service, str(port)]


def get(url: str) -> str:
    return httpx.get(url, trust_env=False).text


def test_all_four_are_started_with_the_urls_and_the_given_variables(tmp_path: Path) -> None:
    with Fleet.start(URLS, log_dir=tmp_path, env={"MAMAPOST_DB_PREFIX": "t1"}, command=stand_in) as fleet:
        assert fleet.services == SERVICES
        for service in SERVICES:
            assert get(f"{fleet.url(service)}/name") == service
            assert get(f"{fleet.url(service)}/env/MAMAPOST_KAFKA") == URLS.kafka
            assert get(f"{fleet.url(service)}/env/MAMAPOST_MONGO") == URLS.mongo
            assert get(f"{fleet.url(service)}/env/MAMAPOST_DB_PREFIX") == "t1"
            assert fleet.log_path(service).exists()
        assert fleet.stop() == ()
        assert not any(fleet.alive(service) for service in SERVICES)


def test_killed_service_comes_back_on_its_url_and_the_others_go_on(tmp_path: Path) -> None:
    with Fleet.start(URLS, log_dir=tmp_path, services=["registry", "revenue"], command=stand_in) as fleet:
        url = fleet.url("registry")
        fleet.kill("registry")
        assert not fleet.alive("registry")
        assert fleet.alive("revenue")
        fleet.restart("registry")
        assert get(f"{fleet.url('registry')}/name") == "registry"
        fleet.restart("registry", wait_ready=False)  # also an orderly restart of a running one
        fleet.wait_ready("registry")
        assert fleet.url("registry") == url


def test_service_that_ends_shows_the_end_of_its_log_and_stops_the_others(tmp_path: Path) -> None:
    ports: dict[str, int] = {}

    def remember(service: str, port: int) -> list[str]:
        ports[service] = port
        return stand_in(service, port)

    with pytest.raises(ServiceStartFailed, match=r"broken on port(.|\n)*code 1(.|\n)*the master key file is missing"):
        Fleet.start(URLS, log_dir=tmp_path, services=["registry", "broken"], command=remember)
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((LOOPBACK, ports["registry"]))


def test_service_that_is_never_ready_is_an_error_with_its_last_answer(tmp_path: Path) -> None:
    with pytest.raises(ServiceStartFailed, match=r"slow on port \d+ was not ready in time \(last answer: 503\)"):
        Fleet.start(URLS, log_dir=tmp_path, services=["slow"], command=stand_in, start_timeout_s=5)


def test_service_that_does_not_stop_is_killed_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    services = ["stubborn", "registry"]
    with Fleet.start(URLS, log_dir=tmp_path, services=services, command=stand_in, stop_timeout_s=0.5) as fleet:
        assert fleet.stop() == ("stubborn",)
        assert "stubborn did not stop" in caplog.text
        assert not fleet.alive("stubborn")


def test_ports_are_kept_across_runs_and_left_when_taken(tmp_path: Path) -> None:
    def run() -> str:
        with Fleet.start(
            URLS, log_dir=tmp_path, port_dir=tmp_path / "ports", services=["registry"], command=stand_in
        ) as fleet:
            return fleet.url("registry")

    first = run()
    assert run() == first
    with socket.create_server((LOOPBACK, int(first.rpartition(":")[2]))):
        assert run() != first


def test_port_lost_to_another_program_before_the_first_answer_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = pick_port()
    with socket.socket() as rival:  # holds the port and refuses connections
        rival.bind((LOOPBACK, 0))
        ports = iter([rival.getsockname()[1], free])
        monkeypatch.setattr("deploy.local.fleet.pick_port", lambda _memory: next(ports))
        with Fleet.start(URLS, log_dir=tmp_path, services=["registry"], command=stand_in) as fleet:
            assert fleet.url("registry") == f"http://{LOOPBACK}:{free}"


def test_the_real_command_is_this_interpreter() -> None:
    assert serve_command("registry", 20_001) == [
        *(sys.executable, "-m", "mamapost", "serve", "registry", "--port", "20001")
    ]
