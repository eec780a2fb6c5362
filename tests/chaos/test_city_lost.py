"""A city's databases and broker are lost, and all comes back from its backup and the master key."""

from __future__ import annotations

import asyncio
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.local.engines import Engines, EngineUrls
from mamapost.backup.city import back_up, restore
from mamapost.broker import broker_of
from mamapost.ledger import verify
from mamapost.local import Running, running
from mamapost.reconcile import reconcile
from mamapost.scenario.drive.run import drive
from mamapost.scenario.yantai import generate
from mamapost.scenario.yantai.facts import CITY
from shared.runtime.settings import Settings
from tests.conftest import eventually

pytestmark = pytest.mark.slow

EMPLOYER = {"city": CITY, "kind": "enterprise", "name": "示例工厂"}
KEY = {"Idempotency-Key": "before-the-loss"}


def settings_of(urls: EngineUrls) -> Settings:
    return Settings(mongo=urls.mongo, kafka=urls.kafka)


def get(url: str, **params: Any) -> Any:
    answer = httpx.get(url, params=params, timeout=30, trust_env=False)
    assert answer.status_code == 200, answer.text
    return answer.json()


def rankings(local: Running) -> dict[str, Any]:
    """The list of every open post of the city."""
    page: dict[str, Any] = get(f"{local.urls['registry']}/posts", city=CITY, state="open")
    ids = [post["post_id"] for post in page["items"]]
    return {post: get(f"{local.urls['matching']}/posts/{post}/ranking")["top"] for post in ids}


def is_at_rest(local: Running) -> bool:
    """Whether everything that happened is published, and consumed by everyone."""
    for url in local.urls.values():
        for line in httpx.get(f"{url}/metrics", trust_env=False).text.splitlines():
            name, _, value = line.partition(" ")
            if name.startswith(("mamapost_outbox_waiting_events", "mamapost_consumer_lag_messages")) and float(value):
                return False
    return True


def test_a_lost_city_comes_back_from_its_backup(tmp_path: Path) -> None:
    last_month = (date.today().replace(day=1) - date.resolution).replace(day=1)
    file = tmp_path / "city.backup"
    with running(tmp_path / "before", with_token=False) as local:
        asyncio.run(drive(generate(20251, 0.02, last_month), local.urls, None))
        answer = httpx.post(f"{local.urls['registry']}/employers", json=EMPLOYER, headers=KEY, trust_env=False)
        assert answer.status_code == 201
        asyncio.run(eventually(lambda: is_at_rest(local), "all is published and consumed", timeout_s=60))
        known = rankings(local)
        assert sum(1 for top in known.values() if top) >= 5
        (audit,) = verify(settings_of(local.engines.urls), CITY, lambda *_: None).audits
        assert audit.entries > 0
        taken = back_up(settings_of(local.engines.urls), CITY, file)
        seeker = get(f"{local.urls['registry']}/seekers", city=CITY)["items"][0]["seeker_id"]
        person = get(f"{local.urls['registry']}/seekers/{seeker}/person")

    after = tmp_path / "after"
    after.mkdir()
    shutil.copy(tmp_path / "before" / "master.key", after)
    with Engines.start(after / "engines", after / "log") as engines:
        assert restore(settings_of(engines.urls), file).documents == taken.documents
    with running(after, with_token=False) as local:
        settings = settings_of(local.engines.urls)
        asyncio.run(eventually(lambda: is_at_rest(local), "the bus is refilled and consumed", timeout_s=60))
        asyncio.run(eventually(lambda: rankings(local) == known, "the rankings are what they were"))
        (now,) = verify(settings, CITY, lambda *_: None).audits
        assert (now.kept.head, now.findings) == (audit.kept.head, [])
        done = reconcile(settings, broker_of(local.engines.urls.kafka), CITY, lambda _: None)
        assert done.report.differences == 0
        assert get(f"{local.urls['registry']}/seekers/{seeker}/person") == person
        again = httpx.post(f"{local.urls['registry']}/employers", json=EMPLOYER, headers=KEY, trust_env=False)
        assert again.json() == answer.json(), "the command has had its effect"
