"""The operator's files: every fault at once, with line and field; what sound ones get wrong."""

from __future__ import annotations

import json
import os
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.policy import TenantPolicy
from dispatch.positions import Positions
from dispatch.triagefile import (
    MAX_FILE_BYTES,
    Finding,
    TriageFileError,
    check_file,
    check_folder,
    json_schema,
    load,
    load_folder,
)

WORKFLOW = "WW" + "0" * 32
SOUND = f"""\
tenant = "acme"
numbers = ["+14155550100"]
[business]
name = "ACME"
[routes.desk]
kind = "flex"
workflow_sid = "{WORKFLOW}"
[routes.message]
kind = "voicemail"
[default]
route = "message"
[human]
route = "desk"
[[intent]]
name = "billing"
description = "Invoices."
route = "desk"
"""


def written(folder: Path, text: str, name: str = "acme.toml") -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def found(folder: Path, text: str) -> list[tuple[int, str, str, str]]:
    findings = check_file(written(folder, text))
    return [(one.line, one.severity, one.field, one.message) for one in findings]


# --- what is sound --------------------------------------------------------------------------


def test_the_example_is_sound_and_gives_no_warning(example: Path) -> None:
    assert check_file(example) == []
    assert load(example).policy.tenant == "acme-plumbing"


def test_the_example_sends_each_call_of_the_corpus_where_todays_flow_sent_it(
    policy: TenantPolicy, corpus: list[dict[str, Any]]
) -> None:
    for call in corpus:
        today = call["studio"]
        intent = policy.intent(today["intent"])
        assert intent is not None
        route = policy.routes[intent.route]
        kinds = {"studio": "studio_return", "flex": "flex", "voicemail": "voicemail"}
        assert route.kind == kinds.get(today["route"], "resolve")
        assert intent.priority == today["priority"]
        assert getattr(route, "queue", today["queue"]) == today["queue"]


def test_the_smallest_file_is_sound(tmp_path: Path) -> None:
    assert found(tmp_path, SOUND) == []


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    text = "\ufeff" + (SOUND + "colour = 1\n").replace("\n", "\r\n")
    assert found(tmp_path, text) == [(18, "error", "intent[billing].colour", "is not a known key")]


# --- faults ---------------------------------------------------------------------------------

BAD = """\
tenant = "Acme"
numbers = ["4155550100", "+14155550100"]
colour = "red"
[business]
name = "ACME"
languages = []
timezone = "Mars/Olympus"
regoin = "US"
[model.vad]
kind = "server_vda"
[lines]
greeting = 5
goodbye = { en_US = "x" }
[limits]
hops = 3
[routes.desk]
kind = "flexx"
[routes.flex]
kind = "flex"
workflow_sid = "WW12"
prioritty = 3
attributes = { call_sid = "x", ok = { a = 1 } }
[routes.dial]
kind = "dial"
[default]
route = "nowhere"
[[intent]]
name = "billing"
description = "x"
route = "desk"
on_failure = ["dial", "gone",
  "dial"]
[[intent.slots]]
name = "from"
kind = "choice"
requierd = true
[[intent]]
name = "unknown"
description = "x"
route = "flex"
threshold = "high"
[[intent]]
name = "billing"
description = "x"
route = "dial"
[[tool]]
name = "look"
description = "x"
url = "http://crm.example/{x}"
parameters = { type = "object", properties = { a = { type = "strin" } } }
"""
KINDS = (
    "studio_return, studio_trigger, studio_execution, flex, callback_task, dial, voicemail,"
    " resolve, page"
)


def test_every_fault_is_found_at_once_with_its_line_and_field(tmp_path: Path) -> None:
    assert found(tmp_path, BAD) == [
        (line, "error", field, message)
        for line, field, message in [
            (1, "tenant", "is 'Acme', expected a name of lower-case letters, digits and _"),
            (1, "human", "is required"),
            (
                2,
                "numbers[#1]",
                "is '4155550100', expected a number in E.164 form such as +14155550100, or '*'",
            ),
            (3, "colour", "is not a known key"),
            (6, "business.languages", "is empty"),
            (
                7,
                "business.timezone",
                "'Mars/Olympus' is not an IANA time zone such as 'America/New_York'",
            ),
            (8, "business.regoin", "is not a known key; did you mean 'region'?"),
            (
                9,
                "model.vad",
                (
                    "kind is 'server_vda', expected one of server_vad, semantic_vad;"
                    " did you mean 'server_vad'?"
                ),
            ),
            (12, "lines.greeting", "is 5, expected text or a table"),
            (
                13,
                "lines.goodbye.en_US",
                "'en_US' is not a language tag such as 'en-US' or 'es'",
            ),
            (15, "limits.hops", "is 3: input should be less than or equal to 2"),
            (
                16,
                "routes.desk",
                f"kind is 'flexx', expected one of {KINDS}; did you mean 'flex'?",
            ),
            (
                20,
                "routes.flex.workflow_sid",
                "is 'WW12', expected a workflow SID: WW and 32 hexadecimal digits",
            ),
            (21, "routes.flex.prioritty", "is not a known key; did you mean 'priority'?"),
            (
                22,
                "routes.flex.attributes.ok",
                (
                    "is {'a': 1}, expected text or true or false or a whole number or a number or"
                    " a list"
                ),
            ),
            (
                22,
                "routes.flex.attributes",
                "'call_sid' is an attribute that Twilio sets itself; use another name",
            ),
            (23, "routes.dial", "needs exactly one of 'number' and 'sip'"),
            (26, "default.route", "there is no route 'nowhere'; there are: desk, flex, dial"),
            (
                31,
                "intent[billing].on_failure[#2]",
                "there is no route 'gone'; there are: desk, flex, dial",
            ),
            (32, "intent[billing].on_failure[#3]", "'dial' has been tried before"),
            (
                34,
                "intent[billing].slots[from].name",
                "'from' is an attribute that is always sent; use another name",
            ),
            (
                36,
                "intent[billing].slots[from].requierd",
                "is not a known key; did you mean 'required'?",
            ),
            (37, "intent[unknown]", "'unknown' is kept for calls without an intent"),
            (
                41,
                "intent[unknown].threshold",
                ("is 'high': input should be a valid number, unable to parse string as a number"),
            ),
            (43, "intent[billing].name", "'billing' is defined twice"),
            (49, "tool[look].url", "must be https (http only for a loopback address)"),
            (
                50,
                "tool[look].parameters",
                "is not a JSON schema: 'strin' is not valid under any of the given schemas",
            ),
        ]
    ]


MASKED = f"""\
tenant = "acme"
numbers = ["415 555", "+14155550100", "+14155550100"]
[business]
name = "ACME"
region = "ZZ"
[rollout]
stages = [60, 5, 25]
allow = ["bob"]
[limits]
decide_within_s = 200
longest_call_s = 7
[routes.desk]
kind = "flex"
workflow_sid = "{WORKFLOW}"
[routes.phone]
kind = "dial"
number = "911x"
[routes.owner]
kind = "page"
sms = ["12"]
then = "nowhere"
[default]
route = "desk"
[human]
route = "desk"
[[intent]]
name = "billing"
description = "Invoices."
route = "phone"
triggers = ["a"]
[[intent.slots]]
name = "age"
kind = "number"
min = 5
max = 1
"""


def test_a_fault_hides_no_other_and_brings_no_follower(tmp_path: Path) -> None:
    number = "expected a number in E.164 form such as +14155550100"
    assert found(tmp_path, MASKED) == [
        (line, "error", field, message)
        for line, field, message in [
            (2, "numbers[#1]", f"is '415 555', {number}, or '*'"),
            (
                5,
                "business.region",
                "'ZZ' is no country whose telephone numbers are known, such as 'US'",
            ),
            (6, "rollout", "'stages' must rise and begin above 0"),
            (8, "rollout.allow[#1]", f"is 'bob', {number}"),
            (11, "limits.longest_call_s", "is 7: input should be greater than or equal to 30"),
            (17, "routes.phone.number", f"is '911x', {number}"),
            (20, "routes.owner.sms[#1]", f"is '12', {number}"),
            (21, "routes.owner.then", "there is no route 'nowhere'; there are: desk, phone, owner"),
            (
                30,
                "intent[billing].triggers[#1]",
                "is 'a': string should have at least 2 characters",
            ),
            (31, "intent[billing].slots[age]", "'min' must not exceed 'max'"),
        ]
    ]


def test_a_file_with_faults_is_not_loaded_and_the_error_lists_them(tmp_path: Path) -> None:
    file = written(tmp_path, SOUND.replace('"ACME"', "1") + "colour = 1\n")
    with pytest.raises(TriageFileError) as caught:
        load(file)
    assert str(caught.value) == (
        f"{file}:4: error: business.name: is 1, expected text\n"
        f"{file}:18: error: intent[billing].colour: is not a known key"
    )


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (
            ('[human]\nroute = "desk"', '[human]\nroute = "back"'),
            (
                15,
                "human.route",
                "a studio_return route does not lead to a person, where calls that went round end",
            ),
        ),
        (
            (
                '[routes.message]\nkind = "voicemail"',
                '[routes.message]\nkind = "page"\nsms = ["+14155550100"]\nthen = "nowhere"',
            ),
            (
                13,
                "routes.message.then",
                "there is no route 'nowhere'; there are: back, desk, message",
            ),
        ),
        (
            (
                '[routes.message]\nkind = "voicemail"',
                '[routes.message]\nkind = "page"\nemail = ["a@b.example"]\nthen = "message"',
            ),
            (13, "routes.message.then", "must lead on to a route that is not itself a page"),
        ),
        (
            ('[routes.message]\nkind = "voicemail"', '[routes.message]\nkind = "page"'),
            (10, "routes.message", "needs at least one number in 'sms' or address in 'email'"),
        ),
        (
            ('numbers = ["+14155550100"]', 'numbers = ["*", "+14155550100"]'),
            (2, "numbers", "'*' takes every number; give either '*' or numbers, not both"),
        ),
        (
            ('numbers = ["+14155550100"]', 'numbers = ["+14155550100", "+14155550100"]'),
            (2, "numbers", "holds the same number twice"),
        ),
    ],
    ids=["human", "then nowhere", "then a page", "pages nobody", "star", "number twice"],
)
def test_parts_that_contradict_each_other_are_faults(
    tmp_path: Path, change: tuple[str, str], finding: tuple[int, str, str]
) -> None:
    text = SOUND.replace("[routes.desk]", '[routes.back]\nkind = "studio_return"\n[routes.desk]')
    errors = [one for one in found(tmp_path, text.replace(*change)) if one[1] == "error"]
    line, field, message = finding
    assert errors == [(line, "error", field, message)]


@pytest.mark.parametrize(
    ("data", "line", "message"),
    [
        (b"a = [1,\nb = 2\n", 2, "is not valid TOML: "),
        (b"a =", 1, "is not valid TOML: "),
        (b"a = 1\nb = '''x\n", 2, "is not valid TOML: "),
        (b"a = '\xff'", 1, "is not UTF-8 text (byte 5)"),
        (b"#" * (MAX_FILE_BYTES + 1), 1, "has 1000001 bytes, allowed are 1000000"),
        (b"a = " + b"[" * 3000 + b"]" * 3000, 1, "nests lists or tables too deeply"),
        (b"a" + b".a" * 3000 + b" = 1", 1, "nests lists or tables too deeply"),
    ],
    ids=["broken list", "no value", "open end", "latin-1", "too large", "brackets", "dots"],
)
def test_a_file_that_cannot_be_read_says_where(
    tmp_path: Path, data: bytes, line: int, message: str
) -> None:
    file = tmp_path / "acme.toml"
    file.write_bytes(data)
    [finding] = check_file(file)
    assert (finding.line, finding.severity, finding.field) == (line, "error", "")
    assert finding.message.startswith(message)


def test_a_file_that_is_not_there_is_a_finding(tmp_path: Path) -> None:
    file = tmp_path / "none.toml"
    assert check_file(file) == [
        Finding(str(file), 1, "", "error", "cannot be read: No such file or directory")
    ]


# --- warnings -------------------------------------------------------------------------------

FLOW = "FW" + "1" * 32


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            SOUND + 'digit = "0"\n',
            [
                (
                    18,
                    "intent[billing].digit",
                    "key 0 leads to a person already and never reaches 'billing'",
                )
            ],
        ),
        (
            SOUND + 'triggers = ["!!"]\n',
            [(18, "intent[billing].triggers[#1]", "'!!' holds no word and never fires")],
        ),
        (
            SOUND
            + 'triggers = ["gas bill"]\n[[intent]]\nname = "leak"\ndescription = "x"\n'
            + 'route = "desk"\nemergency = true\ntriggers = ["Gas"]\n',
            [
                (
                    18,
                    "intent[billing].triggers[#1]",
                    "whoever says 'gas bill' says 'Gas' too, which leads to 'leak'",
                )
            ],
        ),
        (
            SOUND + "threshold = 1\n",
            [
                (
                    18,
                    "intent[billing].threshold",
                    "confidence is hardly ever 1: nothing gets to 'billing'",
                )
            ],
        ),
        (
            SOUND
            + 'examples = ["My bill."]\n[[intent]]\nname = "pay"\ndescription = "x"\n'
            + 'route = "desk"\nexamples = ["my bill"]\n',
            [
                (
                    23,
                    "intent[pay].examples[#1]",
                    "is an example of 'billing' too; the assistant cannot tell them apart",
                )
            ],
        ),
        (
            SOUND
            + 'slots = [{ name = "day", kind = "date" }]\n[[intent]]\nname = "pay"\n'
            + 'description = "x"\nroute = "desk"\nslots = [{ name = "day" , kind = "text" }]\n',
            [
                (
                    23,
                    "intent[pay].slots[day].kind",
                    "is 'text', but 'day' is 'date' in 'billing'; use one kind",
                )
            ],
        ),
        (
            SOUND.replace("[default]", '[routes.spare]\nkind = "resolve"\n[default]'),
            [(10, "routes.spare", "nothing leads here")],
        ),
        (
            SOUND.replace('kind = "voicemail"', 'kind = "studio_return"'),
            [
                (
                    9,
                    "routes.message.kind",
                    "returns to a Studio flow, but by entry.via no call comes from one",
                )
            ],
        ),
        (
            SOUND.replace(
                'kind = "voicemail"', f'kind = "studio_return"\nflow_sid = "FW{"2" * 32}"'
            ).replace(
                "[routes.desk]",
                f'[entry]\nvia = ["studio"]\nstudio_flows = ["{FLOW}"]\n[routes.desk]',
            ),
            [
                (
                    13,
                    "routes.message.flow_sid",
                    "is not in entry.studio_flows; calls only return where they came from",
                )
            ],
        ),
        (
            SOUND.replace(
                'kind = "voicemail"', f'kind = "studio_trigger"\nflow_sid = "{FLOW}"'
            ).replace(
                "[routes.desk]",
                f'[entry]\nvia = ["studio"]\nstudio_flows = ["{FLOW}"]\n[routes.desk]',
            ),
            [
                (
                    13,
                    "routes.message.flow_sid",
                    "is a flow that sends us calls: they go round until the hop limit",
                )
            ],
        ),
        (
            SOUND.replace('kind = "voicemail"', 'kind = "dial"\nnumber = "+14155550100"'),
            [
                (
                    10,
                    "routes.message.number",
                    "is the number that callers dial: the call would loop",
                )
            ],
        ),
        (
            SOUND.replace('[human]\nroute = "desk"', '[human]\nroute = "message"'),
            [
                (
                    13,
                    "human.route",
                    "a voicemail route reaches nobody while the caller is on the line",
                )
            ],
        ),
        (
            SOUND + 'slots = [{ name = "due-date" }]\n',
            [
                (
                    18,
                    "intent[billing].slots[due-date].name",
                    "a hyphen in an attribute key breaks workflow filters; use 'due_date'",
                )
            ],
        ),
        (
            SOUND.replace(f'"{WORKFLOW}"', f'"{WORKFLOW}"\nattributes = {{ skill-set = "x" }}'),
            [
                (
                    8,
                    "routes.desk.attributes.skill-set",
                    "a hyphen in an attribute key breaks workflow filters; use 'skill_set'",
                )
            ],
        ),
        (
            SOUND.replace(
                f'"{WORKFLOW}"', f'"{WORKFLOW}"\nattributes = {{ skills = "{"x" * 4000}" }}'
            ),
            [(8, "routes.desk.attributes", "do not fit a Task; these get lost: skills")],
        ),
        (
            SOUND.replace(
                f'"{WORKFLOW}"', f'"{WORKFLOW}"\nattributes = {{ skills = "{"x" * 4000}" }}'
            ).replace(
                'description = "Invoices."\nroute = "desk"',
                'description = "Invoices."\nroute = "message"',
            ),
            [(8, "routes.desk.attributes", "do not fit a Task; these get lost: skills")],
        ),
        (
            SOUND + "slots = [" + ", ".join(f'{{ name = "s{n}" }}' for n in range(12)) + "]\n",
            [
                (
                    18,
                    "intent[billing].slots",
                    "do not all fit a Task of 'desk'; may get lost: s0",
                )
            ],
        ),
        (
            SOUND.replace("[routes.desk]", '[lines]\ngoodbye = { fr = "x" }\n[routes.desk]'),
            [(6, "lines.goodbye.fr", "'fr' is not one of business.languages")],
        ),
        (
            SOUND.replace('name = "billing"', 'name = "human"').replace(
                'description = "Invoices."\nroute = "desk"',
                'description = "Invoices."\nroute = "message"',
            ),
            [
                (
                    17,
                    "intent[human].route",
                    "differs from human.route ('desk'), where such wishes go",
                )
            ],
        ),
        (
            SOUND
            + 'emergency = true\n[[intent]]\nname = "leak"\ndescription = "x"\nroute = "desk"\n'
            + "emergency = true\n",
            [(23, "intent[leak].emergency", "escalations in an emergency go to 'billing' only")],
        ),
    ],
    ids=[
        "digit of the person",
        "trigger without words",
        "trigger shadowed",
        "threshold of one",
        "same example",
        "slot of two kinds",
        "unused route",
        "return without Studio",
        "return to another flow",
        "trigger of our own flow",
        "dials itself",
        "nobody there",
        "hyphen in a slot",
        "hyphen in an attribute",
        "attributes too large",
        "attributes of the way to a person too large",
        "slots too large",
        "unspoken language",
        "two ways to a person",
        "two emergencies",
    ],
)
def test_a_sound_file_may_still_get_something_wrong(
    tmp_path: Path, text: str, expected: list[tuple[int, str, str]]
) -> None:
    assert found(tmp_path, text) == [
        (line, "warning", field, message) for line, field, message in expected
    ]
    assert len(load(tmp_path / "acme.toml").warnings) == len(expected)


# --- several tenants ------------------------------------------------------------------------


def test_the_called_number_chooses_the_tenant(tmp_path: Path) -> None:
    written(tmp_path, SOUND, "a.toml")
    other = SOUND.replace('"acme"', '"salon"').replace('"+14155550100"', '"*"')
    written(tmp_path, other, "b.toml")
    tenants = load_folder(tmp_path)
    chosen = [tenants.for_number(number) for number in ("+14155550100", "+442079460958", "")]
    assert [one.policy.tenant for one in chosen if one] == ["acme", "salon", "salon"]
    salon = tenants.named("salon")
    assert salon is not None
    assert salon.path.name == "b.toml"
    assert tenants.named("nobody") is None


def test_without_a_star_an_unknown_number_has_no_tenant(tmp_path: Path) -> None:
    assert load_folder(written(tmp_path, SOUND)).for_number("+442079460958") is None


def test_a_file_that_goes_while_it_is_read_is_read_once(tmp_path: Path) -> None:
    """As when a tenant's file is taken away while the others are read: a pipe gives its text to
    one reader, and is gone from the folder by then."""
    pipe = tmp_path / "acme.toml"
    os.mkfifo(pipe)

    def give() -> None:
        with pipe.open("w", encoding="utf-8") as writing:  # waits for a reader
            pipe.unlink()
            writing.write(SOUND)

    with ThreadPoolExecutor(1) as giver:
        given = giver.submit(give)
        assert list(load_folder(pipe).by_name) == ["acme"]
        given.result()


def test_a_number_or_name_of_another_tenant_is_refused(tmp_path: Path) -> None:
    written(tmp_path, SOUND, "a.toml")
    second = written(tmp_path, SOUND, "b.toml")
    expected = [
        f"{second}:1: error: tenant: tenant 'acme' belongs to a.toml already",
        f"{second}:2: error: numbers: number '+14155550100' belongs to a.toml already",
    ]
    assert [str(one) for one in check_folder(tmp_path)] == expected
    with pytest.raises(TriageFileError) as caught:
        load_folder(tmp_path)
    assert str(caught.value) == "\n".join(expected)


def test_the_faults_of_all_files_are_reported_together(tmp_path: Path) -> None:
    for name in ("a.toml", "b.toml"):
        written(tmp_path, SOUND.replace('"ACME"', "1"), name)
    with pytest.raises(TriageFileError) as caught:
        load_folder(tmp_path)
    assert [Path(one.file).name for one in caught.value.findings] == ["a.toml", "b.toml"]


def test_an_empty_folder_is_no_set_of_tenants(tmp_path: Path) -> None:
    with pytest.raises(TriageFileError, match=r"holds no triage file \(\*\.toml\)"):
        load_folder(tmp_path)
    assert [str(one) for one in check_folder(tmp_path)] == [
        f"{tmp_path}:1: error: holds no triage file (*.toml)"
    ]


# --- schema and positions -------------------------------------------------------------------


def test_the_schema_takes_the_example_and_refuses_what_the_check_refuses(example: Path) -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    raw = tomllib.loads(example.read_text(encoding="utf-8"))
    assert list(validator.iter_errors(raw)) == []
    assert not validator.is_valid(tomllib.loads(BAD))
    assert json.loads(json.dumps(schema)) == schema


def test_positions_follow_every_way_of_writing_a_key() -> None:
    positions = Positions(
        'a.b = 1\n"quoted key" = 2\n[t]\nx = { y = [\n  1,\n  { z = 3 },\n] }\n'
        "[[list]]\nk = 1\n[list.sub]\ndeep = 1\n[[list]]\n[[list.inner]]\n[[list.inner]]\nq = 1\n"
    )
    expected = {
        ("a", "b"): 1,
        ("quoted key",): 2,
        ("t",): 3,
        ("t", "x", "y", 0): 5,
        ("t", "x", "y", 1, "z"): 6,
        ("list", 0): 8,
        ("list", 0, "k"): 9,
        ("list", 0, "sub", "deep"): 11,
        ("list", 1): 12,
        ("list", 1, "inner", 1, "q"): 15,
        ("list", 1, "nothing", "here"): 12,
        ("gone",): 1,
    }
    assert {path: positions.line(path) for path in expected} == expected


VALUES = st.recursive(
    st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


def place(raw: dict[str, Any], path: list[str | int], value: object) -> None:
    at: Any = raw
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value


def as_toml(raw: dict[str, Any]) -> str:
    return "".join(f"{json.dumps(key)} = {_value(value)}\n" for key, value in raw.items())


def _value(value: object) -> str:
    match value:
        case dict():
            inner = ", ".join(f"{json.dumps(key)} = {_value(one)}" for key, one in value.items())
            return f"{{ {inner} }}"
        case list():
            return f"[{', '.join(map(_value, value))}]"
        case _:
            return json.dumps(value, ensure_ascii=True)


PLACES: list[list[str | int]] = [
    ["tenant"],
    ["numbers"],
    ["business"],
    ["business", "languages"],
    ["model", "vad"],
    ["lines", "greeting"],
    ["routes"],
    ["routes", "on_call"],
    ["routes", "on_call", "attributes"],
    ["routes", "page_owner", "sms"],
    ["human"],
    ["intent"],
    ["intent", 0],
    ["intent", 0, "slots"],
    ["intent", 1, "slots", 0],
    ["intent", 1, "on_failure"],
    ["tool"],
    ["new"],
]


@given(where=st.sampled_from(PLACES), value=VALUES)
def test_any_value_anywhere_is_taken_or_reported_with_a_line(
    where: list[str | int], value: object, example: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    raw = tomllib.loads(example.read_text(encoding="utf-8"))
    place(raw, where, value)
    text = as_toml(raw)
    file = tmp_path_factory.mktemp("any") / "any.toml"
    file.write_text(text, encoding="utf-8")
    findings = check_file(file)
    assert all(1 <= one.line <= len(text.split("\n")) and one.message for one in findings)
