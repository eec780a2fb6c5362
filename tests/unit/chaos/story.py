"""A short run without a fault: what was commanded, what stands on the topics, in the stores and in the ledger."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from mamapost.chaos.checker import Verdict, judge
from mamapost.chaos.checker.ranks import Facts
from mamapost.chaos.evidence import Evidence, Letter, Logged, Message, Money, Spot, Topics
from mamapost.chaos.history import Answered, Effect, Entry, History, Invoked, Place, Ranking
from mamapost.demo.commands import is_derived
from services.matching.domain import rank_post, view_of
from services.matching.position import StreamPosition
from shared.contracts.envelope import Envelope, encode
from shared.contracts.fields import Event
from shared.contracts.matching import PolicyOf, RankingChanged
from shared.contracts.position import Position
from shared.contracts.revenue import AgreementSigned, RebateAccrued
from shared.contracts.topics import partition_of
from tests.unit.matching.wire import AT, YANTAI, id_of, post_opened, seeker_registered, shift_completed

BROKER = "aaaaaaaa"
COMMUNITY = id_of("com", 1)
CONSUMERS = {"matching": frozenset({"seeker-registered", "post-opened", "shift-completed"})}
PERSONAL = {"测试": "a name"}


def agreement() -> AgreementSigned:
    return AgreementSigned(
        agreement_id=id_of("agr", 1),
        version=1,
        city=YANTAI,
        employer_id=id_of("emp", 1),
        community_id=COMMUNITY,
        base="wages",
        rate_bp=1000,
        valid_from=date(2026, 1, 1),
        signed_at=AT,
    )


def line(number: int, revision: int, wage_fen: int, kind: str = "accrual") -> RebateAccrued:
    """A line of the ledger for a revision of shift 1, at ten per cent."""
    sign = 1 if kind == "accrual" else -1
    return RebateAccrued.model_validate(
        {
            "entry_id": id_of("ent", number),
            "kind": kind,
            "shift_id": id_of("sft", 1),
            "revision": revision,
            "community_id": COMMUNITY,
            "employer_id": id_of("emp", 1),
            "city": YANTAI,
            "agreement_id": id_of("agr", 1),
            "agreement_version": 1,
            "base_fen": sign * wage_fen,
            "rate_bp": 1000,
            "amount_fen_e4": sign * wage_fen * 1000,
            "month": "2026-03",
            "worked_month": "2026-03",
            "accrued_at": AT,
        }
    )


@dataclass
class Story:
    """Evidence that can be changed before it is judged."""

    entries: list[Entry] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)
    log: dict[str, Logged] = field(default_factory=dict)
    ledger: list[dict[str, Any]] = field(default_factory=list)
    audits: list[dict[str, Any]] = field(default_factory=list)
    raw: dict[str, list[bytes]] = field(default_factory=dict)
    generations: list[str] = field(default_factory=lambda: [BROKER])
    _ids: int = 0

    def envelope(self, event: Event) -> Envelope:
        self._ids += 1
        return Envelope(f"evt-{self._ids:032x}", AT, event)

    def publish(self, envelope: Envelope, *, injected: bool = False, partition: int | None = None) -> Message:
        """Put an event on its topic, as the relay does."""
        message = encode(envelope)
        return self.put(
            message.topic, envelope, message.value, injected, message.partition if partition is None else partition
        )

    def put(
        self, topic: str, envelope: Envelope | None, value: bytes, injected: bool, partition: int | None = None
    ) -> Message:
        where = partition_of(YANTAI) if partition is None else partition
        broker = self.generations[-1]
        offset = sum(1 for m in self.messages if m.spot[:3] == (broker, topic, where))
        message = Message(Spot(broker, topic, where, offset), envelope, hashlib.sha256(value).digest(), injected)
        self.messages.append(message)
        return message

    def keep(self, envelope: Envelope) -> None:
        """Write an event into the log of its service."""
        position, value = str(Position.of(envelope.event)), encode(envelope).value
        cause = "derived" if is_derived(envelope.event) else ""
        self.log[envelope.id] = Logged(envelope.id, position, hashlib.sha256(value).digest(), cause)

    def command(self, event: Event) -> Envelope:
        """A command that was accepted, kept and published."""
        envelope = self.envelope(event)
        key = f"key-{envelope.id}"
        self.entries += [Invoked(0.0, key, "registry", "/seekers"), self.answer(key, envelope)]
        self.keep(envelope)
        self.publish(envelope)
        return envelope

    def answer(self, key: str, envelope: Envelope) -> Answered:
        return Answered(0.0, key, "registry", 201, (Effect(0, envelope.id, str(Position.of(envelope.event))),))

    def post(self, event: RebateAccrued) -> None:
        """A line of the ledger, told on its topic."""
        envelope = self.envelope(event)
        self.keep(envelope)
        self.publish(envelope)
        self.ledger.append(event.model_dump(mode="json"))

    def topics(self) -> Topics:
        return Topics(self.generations, self.messages, self.letters)

    def position(self) -> StreamPosition:
        """After everything that stands on the topics now."""
        ends: dict[str, int] = {}
        for message in self.messages:
            if message.spot.generation == self.generations[-1]:
                ends[message.spot.topic] = message.spot.offset + 1
        return StreamPosition(self.generations[-1], partition_of(YANTAI), StreamPosition.of("", 0, ends).offsets)

    def ranking(self, **given: Any) -> Ranking:
        """What a reader of post 1 is told now."""
        position = self.position()
        programme = Facts(self.topics()).until([position], YANTAI)
        assert programme is not None
        view = view_of(programme, AT)
        policy = view.policy_of(YANTAI)
        ranked = rank_post(policy, view.openings[id_of("pst", 1)], view.candidates.values())
        assert ranked
        fields: dict[str, Any] = {
            "at_s": 0.0,
            "instance": "matching",
            "post_id": id_of("pst", 1),
            "positions": (str(position),),
            "at": AT.isoformat(),
            "policy": (policy.city, policy.version),
            "top": tuple(Place(one.seeker_id, one.score, tuple(one.parts)) for one in ranked),
            "limit": 50,
        }
        return Ranking(**(fields | given))

    def told(self, ranking: Ranking, sequence: int) -> RankingChanged:
        """The same on its topic."""
        names = ("time_fit", "distance", "skills", "pay", "facilities", "reliability", "waiting")
        return RankingChanged.model_validate(
            {
                "post_id": ranking.post_id,
                "sequence": sequence,
                "city": YANTAI,
                "as_of": AT,
                "top": [
                    {"seeker_id": p.seeker_id, "score": p.score, "parts": dict(zip(names, p.parts, strict=True))}
                    for p in ranking.top[:10]
                ],
                "position": ranking.positions[0],
                "policy": PolicyOf(city=ranking.policy[0], version=ranking.policy[1]),
            }
        )

    def judged(self) -> Verdict:
        history = History()
        for entry in self.entries:
            history.note(entry)
        money = Money(self.ledger, self.audits)
        return judge(history, Evidence(self.topics(), self.log, money, CONSUMERS, self.raw, PERSONAL))


def story() -> Story:
    """Three seekers, one of them changed, a post, a shift corrected once, and what follows from them."""
    made = Story()
    for number in (1, 2, 3):
        made.command(seeker_registered(number))
    made.command(seeker_registered(2, version=2, pay_floor_fen=1300))
    made.command(post_opened(1))
    made.command(agreement())
    for revision, wage_fen in ((1, 5400), (2, 6000)):
        made.command(shift_completed(1, 1, revision=revision, wage_fen=wage_fen, community_id=COMMUNITY))
    for event in (line(1, 1, 5400), line(2, 1, 5400, "reversal"), line(3, 2, 6000)):
        made.post(event)
    first = made.ranking()
    made.entries.append(first)
    told = made.envelope(made.told(first, 1))
    made.keep(told)
    made.publish(told)
    poison = made.put("post-opened", None, b"{", True)
    made.letters.append(Letter("matching", poison.spot))
    made.entries.append(made.ranking(after=str(Position.of(seeker_registered(2, version=2)))))
    made.audits.append({"city": YANTAI, "entries": 3, "debits_fen_e4": 7, "credits_fen_e4": 7, "findings": []})
    made.raw["seeker-registered"] = [b"nothing of the kind"]
    return made
