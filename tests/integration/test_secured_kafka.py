"""A real Apache Kafka as production has it: it encrypts, asks who is there, and refuses what no rule allows.

Settings are those of the Kubernetes manifests, rules those of deploy/kafka/acls.sh. Skipped without `make parts`.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import TopicAuthorizationFailedError
from aiokafka.protocol.admin import CreateAclsRequest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from deploy.kubernetes.manifests import SECRETS, files
from deploy.local.cluster import format_folder, kafka_program
from deploy.local.containers import new_cluster_id
from deploy.local.engines import Engines
from deploy.local.errors import EngineMissing
from deploy.local.node import Node
from deploy.local.process import LOOPBACK, pick_port
from deploy.local.recipes import kafka_cluster_id
from mamapost.cli import app
from services.registry.app import create as create_registry
from services.training.app import create as create_training
from shared.contracts.envelope import Envelope, encode
from shared.kernel.clock import system_clock
from shared.kernel.ids import new_id
from shared.messaging.connection import Connection
from shared.messaging.dead_letters import DeadLetters, Rejected
from shared.messaging.reading import read_to_end
from shared.messaging.records import records_of
from shared.messaging.relay import own_topics
from shared.messaging.topics import ensure_topics
from shared.runtime.settings import Settings
from tests.architecture.source import ROOT
from tests.authority import Authority
from tests.conftest import eventually
from tests.events import seeker_registered
from tests.integration.serving import served
from tests.unit.registry.city import YANTAI, seeker_body

RUN = ("registry", "training")
"""One that publishes what the other consumes."""

OPERATOR = "wang"
"""Who looks at dead letters, under a name of his own."""

TOLD = "seeker-registered"
RESTRICTED = "shift-completed"
"""The registry's, and nothing that training consumes."""

UNCONSUMED = "shuttle-registered"
"""The registry's, and nothing that any service consumes."""

PREFIX = f"t_{secrets.token_hex(6)}"
"""Of databases and consumer groups; rules name the groups, so that all tests here share it."""

OPERATIONS = {"Read": 3, "Write": 4, "Create": 5, "Delete": 6, "Describe": 8, "DescribeConfigs": 10}
OPERATIONS |= {"IdempotentWrite": 12}
KINDS = {"topic": 2, "group": 3, "cluster": 4}
LITERAL, ALLOW = 3, 3
"""Kafka's own numbers, as its protocol has them."""

LOGIN_MODULE = "org.apache.kafka.common.security.scram.ScramLoginModule"


@dataclass(frozen=True, slots=True)
class Secured:
    """A broker, and what each service is given for it.

    Attributes:
        kafka: where clients log in.
        inside: where an operator reads what no service may.
        folders: the files of each service's secret, and of the operator's.
    """

    kafka: str
    inside: str
    folders: dict[str, Path]

    def variables(self, service: str) -> dict[str, str]:
        """What a service's pod is told of Kafka, with the files of its secret here."""
        manifests = [one for text in files().values() for one in yaml.safe_load_all(text)]
        (config,) = (one for one in manifests if one["kind"] == "ConfigMap")
        (workload,) = (one for one in manifests if one["kind"] == "Deployment" and one["metadata"]["name"] == service)
        (container,) = workload["spec"]["template"]["spec"]["containers"]
        given = {**config["data"], **{one["name"]: one["value"] for one in container["env"]}}
        told = {name: text for name, text in given.items() if name.startswith("MAMAPOST_KAFKA_")}
        return {name: text.replace(SECRETS, str(self.folders[service])) for name, text in told.items()}

    def of_the_operator(self) -> dict[str, str]:
        """What an operator's shell is told of Kafka."""
        told = {"MAMAPOST_KAFKA": self.kafka, **self.variables("training"), "MAMAPOST_KAFKA_USERNAME": OPERATOR}
        return told | {"MAMAPOST_KAFKA_PASSWORD_FILE": str(self.folders[OPERATOR] / "kafka-password")}


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """One broker that knows the services by their passwords, with the rules of the script."""
    try:
        kafka = kafka_program()
    except EngineMissing as error:
        pytest.skip(str(error))
    root = tmp_path_factory.mktemp("secured")
    authority = Authority(root / "authority")
    certificate, key = authority.issue("broker")
    both = root / "broker.pem"
    both.write_bytes(key.read_bytes() + certificate.read_bytes())
    folders = {name: root / name for name in (*RUN, OPERATOR)}
    for folder in folders.values():
        folder.mkdir()
        (folder / "kafka-ca").write_bytes(authority.file.read_bytes())
        (folder / "kafka-password").write_text(secrets.token_urlsafe(24))
    port, inside, controller = pick_port(), pick_port(), pick_port()
    file = root / "kafka.properties"
    file.write_text(
        "".join(f"{name}={value}\n" for name, value in broker_settings(root, both, port, inside, controller).items())
    )
    logins = [
        f"SCRAM-SHA-512=[name={login_of(name)},password={(folder / 'kafka-password').read_text()}]"
        for name, folder in folders.items()
    ]
    format_folder(kafka, file, new_cluster_id(), *(part for login in logins for part in ("--add-scram", login)))
    command = [*kafka, "-Xmx384m", "-XX:TieredStopAtLevel=1", "kafka.Kafka", str(file)]
    node = Node("kafka-secured", inside, inside, command, root / "kafka.log", lambda at: bool(kafka_cluster_id(at)))
    node.start()
    try:
        node.wait_ready()
        asyncio.run(allow(node.address, [*rules(), *rules("operator", OPERATOR)]))
        yield Secured(f"{LOOPBACK}:{port}", node.address, folders)
    finally:
        node.stop()


def login_of(name: str) -> str:
    """The name by which the broker knows a service or the operator."""
    return name if name == OPERATOR else f"mamapost-{name}"


def broker_settings(root: Path, certificate: Path, port: int, inside: int, controller: int) -> dict[str, object]:
    """Clients log in at `port`; `inside` is for the broker itself and for who sets the rules."""
    return {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@{LOOPBACK}:{controller}",
        "listeners": f"CLIENTS://{LOOPBACK}:{port},INSIDE://{LOOPBACK}:{inside},CONTROLLER://{LOOPBACK}:{controller}",
        "listener.security.protocol.map": "CLIENTS:SASL_SSL,INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "INSIDE",
        "controller.listener.names": "CONTROLLER",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": certificate,
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.clients.scram-sha-512.sasl.jaas.config": f"{LOGIN_MODULE} required;",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "false",
        "super.users": "User:ANONYMOUS",
        "log.dirs": root / "kafka",
        "auto.create.topics.enable": "false",
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 3,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "group.initial.rebalance.delay.ms": 0,
    }


def rules(*arguments: str) -> list[str]:
    """What the script would have Kafka's own tool do, a call a line."""
    script = ["/bin/sh", str(ROOT / "deploy/kafka/acls.sh"), *arguments]
    variables = {"BOOTSTRAP": "none", "ADMIN": "none", "ACLS": "echo", "PREFIX": PREFIX, "PATH": "/usr/bin:/bin"}
    done = subprocess.run(script, env=variables, capture_output=True, text=True, timeout=20, check=True)
    return done.stdout.splitlines()


async def allow(kafka: str, lines: Sequence[str]) -> None:
    """Set the rules as Kafka's own tool would, which is not among the parts."""
    known = {f"User:{login_of(name)}" for name in (*RUN, OPERATOR)}
    client = AIOKafkaClient(bootstrap_servers=kafka)
    await client.bootstrap()
    try:
        for line in lines:
            words = shlex.split(line)
            principal = words[words.index("--allow-principal") + 1]
            if principal not in known:
                continue
            ((kind, name),) = re.findall(r"--(topic|group|cluster)(?: (\S+))?$", line)
            for operation in re.findall(r"--operation (\S+)", line):
                numbers = (KINDS[kind], name or "kafka-cluster", LITERAL, principal, "*", OPERATIONS[operation], ALLOW)
                answer = await client.send(client.get_random_node(), CreateAclsRequest(*numbers))
                assert [code for code, _ in answer.creation_responses] == [0], (line, answer)
    finally:
        await client.close()


def settings_of(service: str, secured: Secured, engines: Engines, key: Path, **given: Any) -> Settings:
    """As a pod's environment makes them, but for what is given."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**secured.variables(service), **given}.items():
            patch.setenv(name, value)
        return Settings(
            kafka=secured.kafka, mongo=engines.urls.mongo, db_prefix=PREFIX, replication_factor=1, master_key_file=key
        )


@pytest.fixture
def key(tmp_path: Path) -> Path:
    file = tmp_path / "master.key"
    file.write_text(secrets.token_hex(32))
    return file


async def test_services_publish_consume_and_dead_letter_with_the_settings_and_rules_of_deploy(
    secured: Secured, engines: Engines, key: Path
) -> None:
    of_registry, of_training = (settings_of(service, secured, engines, key) for service in RUN)
    assert (of_registry.kafka_security_protocol, of_registry.kafka_sasl_mechanism) == ("SASL_SSL", "SCRAM-SHA-512")
    async with (
        served(create_registry(of_registry), bus=True) as registry,
        served(create_training(of_training), bus=True) as training,
    ):
        course = (await training.accepted("/courses", course_body()))["id"]
        woman = (await registry.accepted("/seekers", seeker_body()))["id"]

        async def enrolled() -> bool:
            answer = await training.post(f"/courses/{course}/enrolments", {"seeker_id": woman})
            assert answer.status_code in (201, 422), answer.text
            return answer.status_code == 201

        await eventually(enrolled, "training has heard of her")
        async with AIOKafkaProducer(**Connection(of_registry).arguments()) as producer:
            await producer.send_and_wait(TOLD, b"no event", key=b"nobody")
        (letter,) = await read(Settings(kafka=secured.inside), f"{TOLD}.dlq", 1)
        assert orjson.loads(letter)["consumer"] == "training"
    assert len(await read(of_training, TOLD, 2)) == 2


def course_body() -> dict[str, Any]:
    begins = system_clock() + timedelta(days=7)
    return {
        "city": YANTAI,
        "area": "370602",
        "skill": "elder-care",
        "level": 2,
        "seats": 3,
        "starts_at": begins.isoformat(),
        "ends_at": (begins + timedelta(days=9)).isoformat(),
        "child_care": True,
    }


async def read(settings: Settings, topic: str, count: int) -> Sequence[bytes]:
    """The first messages of a topic, read by who the settings name."""
    found: list[bytes] = []
    arguments = Connection(settings).arguments()
    async with AIOKafkaConsumer(topic, **arguments, auto_offset_reset="earliest") as consumer, asyncio.timeout(30):
        while len(found) < count:
            found.append((await consumer.getone()).value)
    return found


async def test_a_service_may_not_write_or_read_what_no_rule_gives_it(
    secured: Secured, engines: Engines, key: Path
) -> None:
    of_training = settings_of("training", secured, engines, key)
    async with AIOKafkaProducer(**Connection(of_training).arguments()) as producer:
        with pytest.raises(TopicAuthorizationFailedError):
            await producer.send_and_wait(TOLD, b"not its own")
    with pytest.raises(TopicAuthorizationFailedError):
        await read(of_training, RESTRICTED, 1)


async def set_aside(secured: Secured) -> None:
    """Have the dead letter of a valid event on a topic, as a consumer with a defect writes it."""
    inside = Connection(Settings(kafka=secured.inside)).arguments()
    admin = AIOKafkaAdminClient(**inside)
    await admin.start()
    try:
        await ensure_topics(admin, own_topics("registry"), 1)
    finally:
        await admin.close()
    told = encode(Envelope(new_id("event"), system_clock(), seeker_registered()))
    async with AIOKafkaProducer(**inside) as producer:
        sent = await producer.send_and_wait(
            told.topic, told.value, key=told.key, partition=told.partition, headers=list(told.headers)
        )
        places = {TopicPartition(sent.topic, sent.partition): sent.offset}
        records = records_of([one async for one in read_to_end(Connection(Settings(kafka=secured.inside)), places)])
        letters = DeadLetters("training")
        letters.connect(producer)
        await letters.send([Rejected(records[0], "handler-failed", "a defect of the test")])


def test_an_operator_lists_and_replays_dead_letters_and_may_do_nothing_else(secured: Secured) -> None:
    asyncio.run(set_aside(secured))
    chosen = ["--topic", TOLD, "--reason", "handler-failed", "--json"]

    def dlq(*arguments: str) -> Any:
        done = CliRunner().invoke(app, ["dlq", *arguments, *chosen], env=secured.of_the_operator())
        assert done.exit_code == 0, done.output
        return orjson.loads(done.stdout)

    (letter,) = dlq("list")
    assert (letter["consumer"], letter["state"]) == ("training", "open")
    assert dlq("replay") == {"dry_run": False, "sent": 1, "ready": 1}
    assert dlq("list") == []
    shown = CliRunner().invoke(app, ["dlq", "show", TOLD, str(letter["letter"])], env=secured.of_the_operator())
    assert orjson.loads(shown.stdout)["message"] == "a valid event", shown.output
    asyncio.run(forbidden_to_the_operator(secured))


async def forbidden_to_the_operator(secured: Secured) -> None:
    """What nobody of ours consumes is none of his business, and topics are not his to make."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in secured.of_the_operator().items():
            patch.setenv(name, value)
        settings = Settings()
    with pytest.raises(TopicAuthorizationFailedError):
        await read(settings, UNCONSUMED, 1)
    admin = AIOKafkaAdminClient(**Connection(settings).arguments())
    await admin.start()
    try:
        answer = await admin.create_topics([NewTopic("invented", 1, 1)])
        assert [code for _, code, *_ in answer.topic_errors] == [TopicAuthorizationFailedError.errno]
    finally:
        await admin.close()


@pytest.fixture
def wrong(tmp_path: Path) -> dict[str, dict[str, str]]:
    """Variables that no broker can take, by the cause that is told."""
    password = tmp_path / "wrong"
    password.write_text("not-the-password")
    other = Authority(tmp_path / "other")
    return {
        "SaslAuthenticationFailed": {"MAMAPOST_KAFKA_PASSWORD_FILE": str(password)},
        "UnsupportedSaslMechanismError": {"MAMAPOST_KAFKA_SASL_MECHANISM": "SCRAM-SHA-256"},
        "SSLCertVerificationError": {"MAMAPOST_KAFKA_CA_FILE": str(other.file)},
    }


CAUSES = ("SaslAuthenticationFailed", "UnsupportedSaslMechanismError", "SSLCertVerificationError")


@pytest.mark.parametrize("cause", CAUSES)
async def test_a_service_that_the_broker_refuses_says_why_and_takes_commands_meanwhile(
    secured: Secured, engines: Engines, key: Path, wrong: dict[str, dict[str, str]], cause: str
) -> None:
    settings = settings_of("training", secured, engines, key, **wrong[cause])
    with capture_logs() as told:
        async with served(create_training(settings)) as training:
            await training.accepted("/courses", course_body())
            await eventually(lambda: any(cause in line.get("causes", ()) for line in told), f"{cause} is told")
            assert (await training.read("/health/ready")).json()["bus"] == "starting"
    assert "not-the-password" not in str(told)


@pytest.mark.parametrize("cause", CAUSES)
def test_a_command_that_the_broker_refuses_says_why(
    secured: Secured, wrong: dict[str, dict[str, str]], cause: str
) -> None:
    variables = {"MAMAPOST_KAFKA": secured.kafka, **secured.variables("training"), **wrong[cause]}
    done = CliRunner().invoke(app, ["dlq", "list"], env=variables)
    assert done.exit_code == 2
    assert secured.kafka in done.output
    assert cause in done.output
    assert "not-the-password" not in done.output
