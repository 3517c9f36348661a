"""Query limits: a query at a limit is executed, one above it is rejected at once with the name of the limit."""

import gc
import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from graphql import get_introspection_query
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pytest_django import Settings
from strawberry.relay import to_base64

from benchmarks import queries as benchmarks
from orthancproxy.archive.levels import Level
from orthancproxy.archive.object_budget import ObjectBudget
from orthancproxy.archive.plan import LevelPlan
from orthancproxy.conf import conf
from orthancproxy.dicom.sources import InMemory
from orthancproxy.errors import LimitExceeded
from orthancproxy.resolvers.context import connect
from orthancproxy.sandbox.orthanc import LocalOrthanc, free_port
from orthancproxy.schema import limits
from orthancproxy.schema.query_size import Limits, check_variables
from orthancproxy.schema.view import GraphQLView
from orthancproxy.uploads.files import SentFile
from tests.conftest import GraphQL, UseOrthanc
from tests.log_capture import logged

EXAMPLES = Path(__file__).parents[2] / "orthancproxy/web/examples"
SECRET = "hunter2 at http://10.0.0.1:8042"
# generous: rejecting a query takes a few milliseconds, one within the limits up to 200
CPU_SECONDS = 0.5


@pytest.fixture(autouse=True)
def _no_orthanc(settings: Settings) -> Iterator[None]:
    """Queries that reach Orthanc get ARCHIVE_UNAVAILABLE."""
    settings.ORTHANC_BASE_URL = f"http://127.0.0.1:{free_port()}"
    limits._cached_check.cache_clear()
    yield
    connect.cache_clear()


def post(query: str, **variables: Any) -> dict[str, Any]:
    client = Client(raise_request_exception=False)
    body = {"query": query, "variables": variables}
    answer: dict[str, Any] = client.post("/graphql/", body, content_type="application/json").json()
    return answer


def codes(answer: dict[str, Any]) -> set[str]:
    return {error["extensions"]["code"] for error in answer.get("errors", ())}


def rejection(query: str, **variables: Any) -> str:
    """Return the message of the one error of a query that exceeds a limit."""
    answer = post(query, **variables)
    assert not any((answer.get("data") or {}).values())
    [error] = answer["errors"]
    assert error["extensions"]["code"] == "LIMIT_EXCEEDED", error
    message: str = error["message"]
    return message


def doubled(levels: int, last: str = "name") -> str:
    fragments = [f"fragment f{i} on Server {{ ...f{i + 1} ...f{i + 1} }}" for i in range(levels)]
    return f"{{ server {{ ...f0 }} }} {' '.join(fragments)} fragment f{levels} on Server {{ {last} }}"


FRAGMENT = "fragment f on Query { %s }"
# a query, the setting that bounds it, how much it has of that, and what it is told when it has more
MEASURED = {
    "tokens": ("{ __typename } # a comment", "TOKENS", 4, "has too many tokens; at most 3 "),
    "characters": (f"{{ __typename }} {'#' * 85}", "TOKENS", 4, "has 100 characters; at most 75 "),
    "depth": ("{ __schema { types { name } } }", "DEPTH", 3, "is 3 levels deep; at most 2 "),
    "depth in an inline fragment": ("{ ... { __schema { types { name } } } }", "DEPTH", 3, "is 3 levels deep"),
    "depth in a fragment": (
        "{ __schema { ...f } } fragment f on __Schema { types { name } }",
        "DEPTH",
        3,
        "is 3 levels deep; at most 2 ",
    ),
    "depth of an argument": ("{ __type(name: [[[1]]]) { name } }", "DEPTH", 4, "is 4 levels deep; at most 3 "),
    "depth of an object": ("{ __type(name: {a: {a: 1}}) { name } }", "DEPTH", 3, "is 3 levels deep; at most 2 "),
    "depth of a directive": ("{ __typename @skip(if: [[1]]) }", "DEPTH", 3, "is 3 levels deep; at most 2 "),
    "depth of a default": ("query($a: Int = [[1]]) { a(a: $a) }", "DEPTH", 3, "is 3 levels deep; at most 2 "),
    "fields": ("{ __typename __schema { queryType { name } } }", "FIELDS", 4, "selects 4 fields; at most 3 "),
    "fields in fragments": (f"{{ ...f ...f }} {FRAGMENT % '__typename'}", "FIELDS", 4, "selects 4 fields"),
    "fields in fragments that are not spread": (
        f"{{ __typename }} {FRAGMENT % '__typename'}",
        "FIELDS",
        2,
        "selects 2 fields; at most 1 ",
    ),
    "fields in several operations": (
        "query a { __typename } query b { __typename }",
        "FIELDS",
        2,
        "selects 2 fields; at most 1 ",
    ),
    "fragments that are unknown": ("{ ...a ...b }", "FIELDS", 2, "selects 2 fields; at most 1 "),
    "aliases": ("{ a: __typename b: __typename }", "ALIASES", 2, "has 2 aliases; at most 1 "),
    "aliases in fragments": (f"{{ ...f ... {{ ...f }} }} {FRAGMENT % 'a: __typename'}", "ALIASES", 2, "has 2 aliases"),
    "aliases in a mutation": ("mutation { a: __typename b: __typename }", "ALIASES", 2, "has 2 aliases"),
    "directives": (
        "{ a: __typename @skip(if: false) @include(if: true) b: __typename @skip(if: false) }",
        "REPEATS",
        3,
        "has 3 directives; at most 2 ",
    ),
    "directives elsewhere": (
        "query($a: Int @a) @a { ... @a { __typename } ...f @a }",
        "REPEATS",
        4,
        "has 4 directives",
    ),
    "operations": (" ".join(f"query q{i} {{ __typename }}" for i in range(3)), "REPEATS", 3, "has 3 operations"),
    "fragments": (
        "{ __typename } " + " ".join(f"fragment f{i} on Query {{ __typename }}" for i in range(3)),
        "REPEATS",
        3,
        "has 3 fragments; at most 2 ",
    ),
    "a field in one place": ("{ __typename __typename __typename }", "REPEATS", 3, "has 3 fields __typename in one"),
    "fields under one alias": ("{ a: __typename a: __typename }", "REPEATS", 2, "has 2 fields a in one place"),
    "a field of merged fields": (
        f"{{ __schema {{ queryType {{ name }} }} ...f }} {FRAGMENT % '__schema { queryType { name } }'}",
        "REPEATS",
        2,
        "has 2 fields __schema in one place; at most 1 ",
    ),
}


@pytest.mark.parametrize(("query", "setting", "amount", "message"), MEASURED.values(), ids=MEASURED)
def test_a_query_may_reach_a_limit_and_not_exceed_it(
    settings: Settings, query: str, setting: str, amount: int, message: str
) -> None:
    settings.ORTHANC_INTROSPECTION = True
    limit = f"ORTHANC_MAX_QUERY_{setting}"
    # twice each: what was found is remembered, as long as the limit is the same
    for _ in range(2):
        setattr(settings, limit, amount)
        assert "LIMIT_EXCEEDED" not in codes(post(query))
        setattr(settings, limit, amount - 1)
        refused = rejection(query)
        assert refused.startswith(f"The query {message}")
        assert f"(server.limits.maxQuery{setting.title()}" in refused


def test_limits_apply_to_get_too(settings: Settings) -> None:
    settings.ORTHANC_MAX_QUERY_ALIASES = 0
    answer = Client().get("/graphql/", {"query": "{ a: __typename }"}).json()
    assert codes(answer) == {"LIMIT_EXCEEDED"}


HOSTILE = {
    "doubled fragments": doubled(20),
    "doubled fragments without fields": doubled(20, "...unknown"),
    "fragments that spread all others": "{ server { ...f0 } } "
    + " ".join(
        f"fragment f{i} on Server {{ name {' '.join(f'...f{j}' for j in range(i + 1, 50))} }}" for i in range(50)
    ),
    "more fragments than a number has room for": doubled(49),
    "nested fields": "{a" * 10_000 + "}" * 10_000,
    "nested fields that the parser reads": "{a" * 190 + "}" * 190,
    "nested lists": "{a(b:" + "[" * 10_000 + "]" * 10_000 + ")}",
    "nested lists that the parser reads": "{a(b:" + "[" * 190 + "]" * 190 + ")}",
    "nested objects": "{a(b:" + "{a:" * 10_000 + "1" + "}" * 10_000 + ")}",
    "nested inline fragments": "{..." * 10_000 + "{a}" + "}" * 10_000,
    "a field many times": "{" + "server{name} " * 1000 + "}",
    "a directive many times": "{ __typename " + "@skip(if: false) " * 900 + "}",
    "aliases": "{" + " ".join(f"a{i}: server {{ name }}" for i in range(400)) + "}",
    "fragments": "{a} " + " ".join(f"fragment f{i} on Query {{a}}" for i in range(10_000)),
    "operations": " ".join(f"query q{i} {{a}}" for i in range(10_000)),
    "comments": "#\n" * 50_000 + "{a}",
    "spaces": "{" + " " * 2_000_000 + "a}",
    "a long text": '{node(id:"' + "x" * 2_000_000 + '"){id}}',
}


@pytest.mark.parametrize("query", HOSTILE.values(), ids=HOSTILE)
def test_an_expensive_query_is_rejected_at_once(query: str) -> None:
    post("{ __typename }")
    # the rubbish of other tests is not the query's
    gc.collect()
    gc.freeze()
    for _ in range(2):
        started = time.process_time()
        rejection(query)
        assert time.process_time() - started < CPU_SECONDS


NESTED_TYPE = "query($a: " + "[" * 190 + "Int" + "]" * 190 + ") { a }"
UNWIELDY = {
    "a cycle of fragments": "{ ...f0 } "
    + " ".join(f"fragment f{i} on Query {{ ...f{(i + 1) % 50} ...f{(i + 7) % 50} }}" for i in range(50)),
    "a fragment that spreads itself in every way": f"{{ ...f }} {FRAGMENT % ('...f ' * 400)}",
    "fragments of one name": "{ ...f } " + f"{FRAGMENT % '...f'} " * 50,
    "unknown fragments": "{" + " ".join(f"...f{i}" for i in range(490)) + "}",
    "unknown fields": "{" + " ".join(f"patiens{i}" for i in range(490)) + "}",
    "unknown arguments": "{ server(" + " ".join(f"a{i}: 1" for i in range(1300)) + ") { name } }",
    "unknown fields of an object": "{ patients(filter: {"
    + " ".join(f'patientI{i}: "1"' for i in range(1300))
    + "}) { totalCount } }",
    "unknown variables": "{ nodes(ids: [" + " ".join(f"$v{i}" for i in range(1900)) + "]) { id } }",
    "nested types": NESTED_TYPE,
    "nested inline fragments": "{..." * 190 + "{a}" + "}" * 190,
    "a number of 5,000 digits": "{ patients(first: " + "1" * 5000 + ") { totalCount } }",
    "a default of 5,000 digits": f"query($a: Int = {'1' * 5000}) {{ patients(first: $a) {{ totalCount }} }}",
    "types": " ".join(f"type T{i} {{ a: Int }}" for i in range(500)),
    "a subscription": "subscription { patients }",
    "@defer": "{ ... @defer { __typename } }",
    "@stream": "{ nodes(ids: []) @stream { id } }",
    "an operation that is not there": "fragment f on Query { __typename }",
}


@pytest.mark.parametrize("query", UNWIELDY.values(), ids=UNWIELDY)
def test_what_is_within_the_limits_and_wrong_is_the_callers_mistake(settings: Settings, query: str) -> None:
    settings.ORTHANC_INTROSPECTION = True
    post("{ __typename }")
    started = time.process_time()
    answer = post(query)
    assert time.process_time() - started < CPU_SECONDS
    assert codes(answer) == {"BAD_USER_INPUT"}
    assert not answer.get("data")
    assert len(answer["errors"]) <= limits.MAX_ERRORS + 1


# the rule that compares fields has most to do where many of the same name are to be merged
MERGED = {
    "arguments": """patients { nodes { studies(filter: {patientName: "a", tags: [{keyword: "a", value: "b"}]}) {
        series(filter: {modality: "b"}) { instances { id } } } } }"""
    * 49,
    "deep": "patients { edges { node { studies { series { study { patient { id } } } } } } } " * 49,
    "leaves": "server { " + "name " * 49 + "} " + " ".join(f"a{i}: server {{ {'name ' * 49} }}" for i in range(8)),
    "fragments": " ".join(f"...f{i}" for i in range(45)),
}
FLAT = " ".join(
    f"fragment f{i} on Query {{ patients {{ nodes {{ studies {{ series {{ id }} }} }} }} }}" for i in range(45)
)


@pytest.mark.parametrize("selection", MERGED.values(), ids=MERGED)
def test_the_costliest_within_the_limits_are_validated_quickly(selection: str) -> None:
    query = f"{{ {selection} }} {FLAT if '...' in selection else ''}"
    post("{ __typename }")
    started = time.process_time()
    assert codes(post(query)) == {"ARCHIVE_UNAVAILABLE"}
    assert time.process_time() - started < 2 * CPU_SECONDS


@pytest.mark.parametrize(
    "nested",
    ["[" * 900 + "]" * 900, '{"patientName":' * 900 + "1" + "}" * 900],
    ids=["lists", "objects"],
)
@pytest.mark.parametrize("kind", ["PatientFilter", "[PatientOrder!]", "Int"])
def test_nested_variables_are_the_callers_mistake(kind: str, nested: str) -> None:
    argument = {"PatientFilter": "filter", "[PatientOrder!]": "orderBy", "Int": "first"}[kind]
    query = f"query($a: {kind}) {{ patients({argument}: $a) {{ totalCount }} }}"
    assert codes(post(query, a=json.loads(nested))) == {"BAD_USER_INPUT"}


names = st.sampled_from(
    ["server", "name", "patients", "nodes", "studies", "id", "__typename", "__schema", "tag", "nope"]
)
values = st.recursive(
    st.sampled_from(["1", "-1", '"a"', '"""b"""', "null", "true", "ASC", "$v", "1e400", "9" * 5000, '"\\uD83D"']),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{' '.join(items)}]")
        | st.lists(inner, max_size=3).map(lambda items: "{" + " ".join(f"from: {item}" for item in items) + "}")
    ),
    max_leaves=6,
)
arguments = st.one_of(
    st.just(""),
    st.tuples(st.sampled_from(["first", "filter", "id", "keyword", "if", "nope"]), values).map(
        lambda pair: f"({pair[0]}: {pair[1]})"
    ),
)
directives = st.one_of(
    st.just(""),
    st.tuples(st.sampled_from(["skip", "include", "defer", "nope"]), arguments).map(lambda d: f"@{d[0]}{d[1]}"),
)
types = st.sampled_from(["Query", "Patient", "Server", "Nope", "__Schema", "PatientFilter"])
spreads = st.sampled_from(["...f0", "...f1", "...f2", "...f9"])
selections = st.recursive(
    st.tuples(names, arguments, directives).map(" ".join) | st.tuples(spreads, directives).map(" ".join),
    lambda inner: st.tuples(
        st.one_of(
            st.tuples(st.sampled_from(["", "a:", "b:"]), names, arguments, directives).map(" ".join),
            st.tuples(types, directives).map(lambda pair: f"... on {pair[0]} {pair[1]}"),
            st.just("..."),
        ),
        st.lists(inner, min_size=1, max_size=4).map(" ".join),
    ).map(lambda pair: f"{pair[0]} {{ {pair[1]} }}"),
    max_leaves=12,
)
operations = st.tuples(
    st.sampled_from(["", "query", "query q", "mutation", "subscription", "query($v: Int = 1)", "query($v: [[Nope]])"]),
    selections,
).map(lambda pair: f"{pair[0]} {{ {pair[1]} }}")
fragments = st.tuples(st.sampled_from(["f0", "f1", "f2"]), types, selections).map(
    lambda one: f"fragment {one[0]} on {one[1]} {{ {one[2]} }}"
)
documents = st.lists(operations | fragments, min_size=1, max_size=5).map(" ".join)


@hypothesis_settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(documents)
def test_no_document_is_an_error_of_the_gateways(document: str) -> None:
    answer = post(document)
    assert answer.get("data") or answer["errors"]
    assert "INTERNAL" not in codes(answer), document


class TestObjects:
    @pytest.mark.parametrize(
        ("query", "objects"),
        [
            ("{ patients(first: 7) { nodes { id } } }", 7),
            ("{ patients(first: 7) { totalCount } }", 0),
            ("{ patients { nodes { id } } }", 50),
            ("{ patients(first: 7) { nodes { id } edges { node { id } } } }", 14),
            ("{ patients(first: 7) { nodes { studies { id } } } }", 14),
            ("{ patients(first: 7) { nodes { studies { series { instances { id } } } } } }", 28),
            ("{ patients(first: 7) { nodes { studies(first: 5) { id } } } }", 14),
            ("{ patients(first: 7) { nodes { studies(first: 0) { series { id } } } } }", 7),
            ("{ patients(first: 7) { nodes { a: studies { id } b: studies { id } } } }", 21),
            ("{ patients(first: 7) { nodes { ...f ...f } } } fragment f on Patient { studies { id } }", 14),
            ("{ instances(first: 7) { nodes { series { study { patient { id } } } } } }", 28),
            ("{ patients(first: 7) { nodes { studies @skip(if: true) { id } } } }", 7),
            ('{ study(studyInstanceUID: "1.2") { series { instances { id } } } }', 3),
        ],
    )
    def test_are_counted_before_they_are_fetched(self, settings: Settings, query: str, objects: int) -> None:
        settings.ORTHANC_MAX_OBJECTS = objects
        assert codes(post(query)) == {"ARCHIVE_UNAVAILABLE"}
        settings.ORTHANC_MAX_OBJECTS = objects - 1
        message = rejection(query)
        assert message.startswith(f"The query asks for {objects} objects or more; at most {objects - 1} are allowed ")
        assert "server.limits.maxObjects" in message
        assert "`first`" in message

    def test_of_all_root_fields_are_counted_together(self, settings: Settings) -> None:
        node = (
            f'node(id: "{to_base64("Patient", "-".join(["0" * 8] * 5))}") {{ ... on Patient {{ studies {{ id }} }} }}'
        )
        query = f"{{ {node} patients(first: 6) {{ nodes {{ id }} }} }}"
        settings.ORTHANC_MAX_OBJECTS = 8
        assert codes(post(query)) == {"ARCHIVE_UNAVAILABLE"}
        settings.ORTHANC_MAX_OBJECTS = 7
        assert codes(post(query)) == {"ARCHIVE_UNAVAILABLE", "LIMIT_EXCEEDED"}

    def test_are_one_at_least_of_each_list_below(self) -> None:
        series = LevelPlan(level=Level.SERIES, related={"instances": LevelPlan(level=Level.INSTANCE)})
        none = LevelPlan(level=Level.STUDY, first=0, related={"series": series})
        plan = LevelPlan(
            level=Level.PATIENT, related={"a": LevelPlan(level=Level.STUDY, related={"b": series}), "c": none}
        )
        assert [series.objects, plan.objects] == [1, 3]


class TestIntrospection:
    def test_is_off_where_nothing_else_is_said(self) -> None:
        [error] = post(get_introspection_query())["errors"]
        assert "Introspection is off" in error["message"]
        assert "ORTHANC_INTROSPECTION" in error["message"]
        assert error["extensions"]["code"] == "BAD_USER_INPUT"

    @pytest.mark.parametrize(
        "query",
        [
            '{ __type(name: "Patient") { fields { name } } }',
            '{ __type(name: "Patient") { name ...f } } fragment f on __Type { description }',
            "{ a: __schema { queryType { name } } }",
            "{ ... @skip(if: true) { ...f } } fragment f on Query { __schema { queryType { name } } }",
            "fragment f on Query { __schema { queryType { name } } } { __typename }",
        ],
    )
    def test_is_off_however_it_is_asked_for(self, query: str) -> None:
        answer = post(query)
        assert "Introspection is off" in answer["errors"][0]["message"]
        assert not answer.get("data")

    @pytest.mark.parametrize("setting", ["ORTHANC_INTROSPECTION", "DEBUG"])
    def test_is_on_by_the_setting_and_in_development(self, settings: Settings, setting: str) -> None:
        setattr(settings, setting, True)
        query = get_introspection_query(
            specified_by_url=True, directive_is_repeatable=True, schema_description=True, input_value_deprecation=True
        )
        assert post(query)["data"]["__schema"]["queryType"]["name"] == "Query"

    def test_is_bounded_in_what_it_answers(self, settings: Settings) -> None:
        settings.ORTHANC_INTROSPECTION = True
        answer = post("{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }")
        assert codes(answer) == {"BAD_USER_INPUT"}

    @pytest.mark.parametrize(
        ("query", "variables", "meant"),
        [
            ("{ patiens { totalCount } }", {}, "patients"),
            ("{ patients(firts: 1) { totalCount } }", {}, "first"),
            ("{ patients(orderBy: [{field: PATIENT_I}]) { totalCount } }", {}, "PATIENT_ID"),
            (
                "query($o: [PatientOrder!]) { patients(orderBy: $o) { totalCount } }",
                {"o": [{"field": "PATIENT_I"}]},
                "PATIENT_ID",
            ),
            (
                "query($f: PatientFilter) { patients(filter: $f) { totalCount } }",
                {"f": {"patientNam": "a"}},
                "patientName",
            ),
        ],
    )
    def test_goes_with_suggestions(self, settings: Settings, query: str, variables: dict[str, Any], meant: str) -> None:
        settings.ORTHANC_INTROSPECTION = True
        assert f"'{meant}'" in str(post(query, **variables)["errors"])
        settings.ORTHANC_INTROSPECTION = False
        unaided = post(query, **variables)
        assert codes(unaided) == {"BAD_USER_INPUT"}
        assert f"'{meant}'" not in str(unaided["errors"])
        assert "Did you mean" not in str(unaided["errors"])


@pytest.mark.parametrize(
    "query",
    [*(path.read_text() for path in sorted(EXAMPLES.glob("*.graphql"))), benchmarks._WHOLE_ARCHIVE],
    ids=[*(path.stem for path in sorted(EXAMPLES.glob("*.graphql"))), "benchmark"],
)
def test_our_own_queries_are_well_within_the_limits(settings: Settings, query: str) -> None:
    for name in ("TOKENS", "DEPTH", "FIELDS", "ALIASES", "REPEATS"):
        setting = f"ORTHANC_MAX_QUERY_{name}"
        setattr(settings, setting, getattr(conf, setting) // 2)
    assert codes(post(query)) <= {"ARCHIVE_UNAVAILABLE"}


def test_a_long_query_is_not_remembered() -> None:
    query = "{ __typename } #"
    assert codes(post(query + "x" * limits.MAX_CACHED_CHARACTERS)) == set()
    assert limits._cached_check.cache_info().currsize == 0
    assert codes(post(query)) == set()
    assert limits._cached_check.cache_info().currsize == 1


class TestMasking:
    @pytest.mark.parametrize(
        "place",
        [
            (limits, "parse"),
            (limits, "validate"),
            (Limits, "from_settings"),
            (limits.QueryLimits, "on_validate"),
            (ObjectBudget, "reserve"),
        ],
        ids=lambda place: place[1],
    )
    @pytest.mark.parametrize("error", [RuntimeError, RecursionError, KeyError, ValueError, MemoryError])
    def test_hides_what_went_wrong_wherever_it_does(
        self, monkeypatch: pytest.MonkeyPatch, place: tuple[Any, str], error: type[Exception]
    ) -> None:
        def fail(*args: object, **kwargs: object) -> None:
            raise error(SECRET)

        query = "{ patients { nodes { id } } }"
        with monkeypatch.context() as patched, logged() as lines:
            patched.setattr(*place, fail)
            answer = post(query)
        [shown] = answer["errors"]
        assert shown["message"] == "Something went wrong in the gateway."
        assert shown["extensions"]["code"] == "INTERNAL"
        assert "hunter2" not in json.dumps(answer)
        # its operator finds it, by the id that the caller was given
        [line] = [line for line in lines if line["level"] == "error"]
        assert line["request_id"] == shown["extensions"]["requestId"]
        assert "hunter2" in json.dumps(line)
        # and it is not remembered
        assert codes(post(query)) == {"ARCHIVE_UNAVAILABLE"}

    def test_hides_what_went_wrong_in_writing_the_answer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*args: object) -> None:
            raise RuntimeError(SECRET)

        monkeypatch.setattr(GraphQLView, "encode_json", fail)
        answer = json.dumps(post("{ __typename }"))
        assert "INTERNAL" in answer
        assert "hunter2" not in answer

    def test_leaves_the_callers_own_mistakes_as_they_are(self) -> None:
        [error] = post('{ patients(first: "hunter2") { totalCount } }')["errors"]
        assert error["message"] == 'Int cannot represent non-integer value: "hunter2"'


@pytest.mark.live
def test_the_limits_are_published(use_orthanc: UseOrthanc, archive: LocalOrthanc, graphql: GraphQL) -> None:
    use_orthanc(archive)
    published = graphql("""{ server { limits {
        maxObjects maxQueryTokens maxQueryDepth maxQueryFields maxQueryAliases maxQueryRepeats } } }""")
    assert published["server"]["limits"] == {
        "maxObjects": conf.ORTHANC_MAX_OBJECTS,
        "maxQueryTokens": conf.ORTHANC_MAX_QUERY_TOKENS,
        "maxQueryDepth": conf.ORTHANC_MAX_QUERY_DEPTH,
        "maxQueryFields": conf.ORTHANC_MAX_QUERY_FIELDS,
        "maxQueryAliases": conf.ORTHANC_MAX_QUERY_ALIASES,
        "maxQueryRepeats": conf.ORTHANC_MAX_QUERY_REPEATS,
    }


ORDER = {"field": "STUDY_DATE", "direction": "ASC"}
LISTS = {
    "keys of an order": (50, "[StudyOrder!]", "studies(first: 1, orderBy: $list)", ORDER),
    "tags": (50, "[TagMatch!]", "studies(filter: {tags: $list})", {"keyword": "PatientAge", "value": "0"}),
    "labels": (100, "[String!]", "studies(filter: {labels: {any: $list}})", "a"),
    "keywords": (200, "[String!]", "studies { nodes { tags(keywords: $list) } }", "StudyDate"),
    "UIDs": (1000, "[ID!]", "studies(filter: {studyInstanceUIDs: $list})", "1.2"),
    "ids": (1000, "[ID!]!", "nodes(ids: $list)", to_base64("Study", "11111111" + "-11111111" * 4)),
}


class TestVariables:
    QUERY = "query ($list: [StudyOrder!]) { studies(orderBy: $list) { totalCount } }"

    @pytest.mark.parametrize("values", [[[]] * 200_000, [ORDER] * 40_000, [[[1] * 1000] * 200]])
    def test_over_the_limit_are_rejected_before_they_are_coerced(self, values: list[Any]) -> None:
        started = time.process_time()
        assert "values in its variables; at most 4000 are allowed (server.limits.maxQueryTokens)" in rejection(
            self.QUERY, list=values
        )
        assert time.process_time() - started < CPU_SECONDS

    def test_are_counted_however_deep_they_are(self, settings: Settings) -> None:
        settings.ORTHANC_MAX_QUERY_TOKENS = 40
        assert codes(post(self.QUERY, list=[ORDER] * 13)) == {"ARCHIVE_UNAVAILABLE"}
        assert "has 43 values" in rejection(self.QUERY, list=[ORDER] * 14)

    def test_of_an_upload_have_two_more_for_each_file(self) -> None:
        files = [SentFile(str(number), InMemory(b"")) for number in range(100)]
        few = replace(Limits.from_settings(), tokens=2)
        check_variables({"files": files, "seriesPaths": ["a"] * 100}, few)
        with pytest.raises(LimitExceeded):
            check_variables({"files": files, "seriesPaths": ["a"] * 101}, few)


@pytest.mark.parametrize("what", LISTS)
@pytest.mark.parametrize("is_literal", [True, False])
def test_list_has_a_maximum_length_as_literal_and_as_variable(what: str, is_literal: bool, settings: Settings) -> None:
    settings.ORTHANC_MAX_QUERY_TOKENS = 10_000
    most, kind, field, item = LISTS[what]
    if what == "ids":
        field += " { id }"
    elif what != "keywords":
        field += " { totalCount }"

    def ask(count: int) -> dict[str, Any]:
        if not is_literal:
            return post(f"query ($list: {kind}) {{ {field} }}", list=[item] * count)
        literal = (
            re.sub(r'"(\w+)":', r"\1:", json.dumps(item)).replace('"STUDY_DATE"', "STUDY_DATE").replace('"ASC"', "ASC")
        )
        return post("{ " + field.replace("$list", f"[{', '.join([literal] * count)}]") + " }")

    assert codes(ask(most)) == {"ARCHIVE_UNAVAILABLE"}
    [error] = ask(most + 1)["errors"]
    assert error["extensions"]["code"] == "LIMIT_EXCEEDED"
    assert f"At most {most} {what} can be" in error["message"]


def test_caller_is_authenticated_before_the_request_is_parsed() -> None:
    answer = Client().post(
        "/graphql/", b"[" * 1000, content_type="application/json", headers={"Authorization": "Bearer x"}
    )
    assert answer.status_code == 401
