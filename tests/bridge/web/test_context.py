"""The record of a call by its signed address."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

from bridge.store.ledger import LedgerUnavailableError
from bridge.store.memory import MemoryLedger
from bridge.web.context import MAX_RECORD_BYTES, context_links
from tests.bridge.web.conftest import CALL, NOW, Reply, ServeSite, Site
from tests.bridge.web.decided import keep, opening


def address(site: Site, ago_s: float = 0) -> str:
    """Made so long ago."""
    parts = urlsplit(context_links(site.settings).url(CALL, NOW - ago_s))
    return f"{parts.path}?{parts.query}"


async def get(site: Site, target: str) -> Reply:
    return await site.send("GET", target)


def error(reply: Reply) -> tuple[int, str]:
    return reply.status, json.loads(reply.text)["error"]


async def test_the_record_is_everything_uncut(site: Site) -> None:
    await keep(site.ledger, "on_call", turns=30)
    reply = await get(site, address(site))
    assert (reply.status, reply.content_type) == (200, "application/json")
    record = json.loads(reply.text)
    expected = {
        "call_sid": CALL,
        "intent": "emergency",
        "callback": "+14155550177",
        "summary": "Basement is flooding.",
        "reference": "TR-20231114-0001",
    }
    assert expected.items() <= record.items()
    assert len(record["turns"]) == 30


async def test_the_handoff_shape_is_what_twilios_template_reads(site: Site) -> None:
    await keep(site.ledger, "on_call")
    reply = await get(site, address(site) + "&shape=handoff")
    shaped = json.loads(reply.text)
    assert shaped.keys() == {"conversationId", "storeId", "profileId", "attributes"}
    assert (shaped["conversationId"], shaped["attributes"]["reason"]) == (CALL, "trigger")


async def test_a_long_call_fits_what_studio_takes(site: Site) -> None:
    await keep(site.ledger, "on_call", turns=4000)
    reply = await get(site, address(site))
    record = json.loads(reply.text)
    assert len(reply.text.encode()) <= MAX_RECORD_BYTES + 100
    assert len(record["turns"]) + record["turns_left_out"] == 4000
    assert len(record["turns"]) > 500


async def test_nobody_reads_without_a_sound_address(site: Site) -> None:
    await keep(site.ledger, "on_call")
    sound = address(site)
    assert error(await get(site, f"/context/{CALL}")) == (403, "signature_missing")
    assert error(await get(site, sound[:-1] + "!")) == (403, "signature_wrong")
    other = sound.replace(CALL, "CA" + "d" * 32)
    assert error(await get(site, other)) == (403, "signature_wrong")
    assert error(await get(site, address(site, ago_s=86_401))) == (410, "expired")


async def test_what_is_asked_wrongly_says_so(site: Site) -> None:
    await keep(site.ledger, "on_call")
    assert error(await get(site, "/context/CA1?expires=1&sig=x")) == (404, "call_unknown")
    assert (await get(site, address(site) + "&shape=xml")).status == 400


async def test_a_call_that_was_never_decided_has_no_record(site: Site) -> None:
    assert error(await get(site, address(site))) == (404, "call_unknown")
    await site.ledger.open_call(opening())
    assert error(await get(site, address(site))) == (404, "call_unknown")


async def test_a_call_that_came_back_shows_its_last_decision(site: Site) -> None:
    await keep(site.ledger, "on_call")
    await site.ledger.open_call(opening(hop=1))
    assert json.loads((await get(site, address(site))).text)["intent"] == "emergency"


async def test_no_copy_of_a_record_is_kept_on_the_way(site: Site) -> None:
    await keep(site.ledger, "on_call")
    async with site.http.get(f"http://127.0.0.1:{site.port}{address(site)}") as answer:
        assert answer.headers["Cache-Control"] == "no-store"


class GoneLedger(MemoryLedger):
    async def opening(self, call_sid: str) -> None:
        raise LedgerUnavailableError("the database is gone", "gone")


async def test_a_ledger_that_is_gone_is_told_as_such(serve: ServeSite) -> None:
    site = await serve(ledger=GoneLedger(lambda: NOW, lambda: "token"))
    assert error(await get(site, address(site))) == (503, "record_unavailable")
