"""What schemathesis, which runs in a process of its own, gets from us: files to upload, and checks of our own."""

import json
import os
from collections.abc import Mapping
from typing import Any, cast

import graphql
import schemathesis
from hypothesis import strategies as st
from schemathesis import Case, CheckContext, HookContext, Response
from schemathesis.core.failures import AcceptedNegativeData, Failure
from schemathesis.graphql import nodes
from schemathesis.graphql.checks import GraphQLClientError, GraphQLServerError
from schemathesis.openapi.checks import UnsupportedMethodResponse
from urllib3 import encode_multipart_formdata

from tests.corpus import instance

IS_ANONYMOUS = os.environ["TEST_CALLER"] == "anonymous"
GRAPHQL_CODES = frozenset({"NOT_FOUND", "BAD_USER_INPUT", "LIMIT_EXCEEDED", "CURSOR_EXPIRED"})

FILES: Mapping[str, bytes] = {
    **{f"{number}.dcm": instance(900 + number, number=number) for number in range(1, 4)},
    "notes.txt": b"no DICOM",
    "empty.dcm": b"",
}
UPLOADED = "file:"  # what a file of FILES is called in a generated query

schemathesis.openapi.format("binary", st.sampled_from([*FILES.values()]) | st.binary(max_size=300))
schemathesis.graphql.scalar("Upload", st.sampled_from([*FILES]).map(lambda name: nodes.String(UPLOADED + name)))


class _Variables(graphql.Visitor):
    """Puts variables where a query has files: GraphQL has no literal for a file."""

    def __init__(self) -> None:
        super().__init__()
        self.files: list[str] = []

    def enter_string_value(self, node: graphql.StringValueNode, *_: Any) -> graphql.VariableNode | None:
        if not node.value.startswith(UPLOADED):
            return None
        self.files.append(node.value.removeprefix(UPLOADED))
        return graphql.VariableNode(name=graphql.NameNode(value=f"f{len(self.files) - 1}"))


class _OneIdentifier(graphql.Visitor):
    """Leaves one of the two identifiers of a resource, of which a query has to give exactly one."""

    def enter_field(self, node: graphql.FieldNode, *_: Any) -> graphql.FieldNode | None:
        arguments = node.arguments or ()
        if node.name.value not in {"patient", "study", "series", "instance"} or len(arguments) != 2:
            return None
        return graphql.FieldNode(**{**{key: getattr(node, key) for key in node.keys}, "arguments": arguments[:1]})


@schemathesis.hook
def before_call(context: HookContext, case: Case[Any], kwargs: dict[str, Any]) -> None:
    """Send files by the GraphQL multipart request specification, and half of the resources with one identifier."""
    if not isinstance(case.body, str):
        return
    if UPLOADED not in case.body:
        is_valid = bool(case.meta and case.meta.generation.mode.is_positive)
        if is_valid and len(case.body) % 2:
            case.body = graphql.print_ast(graphql.visit(graphql.parse(case.body), _OneIdentifier()))
        return
    variables = _Variables()
    query = graphql.print_ast(graphql.visit(graphql.parse(case.body), variables))
    declared = ", ".join(f"$f{index}: Upload!" for index in range(len(variables.files)))
    operations = {
        "query": query.replace("mutation", f"mutation({declared})", 1),
        "variables": {f"f{index}": None for index in range(len(variables.files))},
    }
    places = {str(index): [f"variables.f{index}"] for index in range(len(variables.files))}
    form: dict[str, str | bytes | tuple[str, str | bytes]] = {
        "operations": json.dumps(operations),
        "map": json.dumps(places),
    }
    form |= {str(index): (name, FILES[name]) for index, name in enumerate(variables.files)}
    body, content_type = encode_multipart_formdata(form)
    kwargs["data"] = body
    case.headers["Content-Type"] = content_type


@schemathesis.hook
def filter_failure(context: HookContext, failure: Failure, case: Case[Any], response: Response) -> bool:
    """Tell what is no failure. GraphQL may refuse what its types allow.

    By the contract, a resource has “exactly one argument” of two, an id is five groups of hex digits, a keyword is of
    the DICOM dictionary, and deleting what is not there is NOT_FOUND. Types say none of it. That a query which fits
    the schema is not valid at all stays a failure: such an error has no path.
    """
    if isinstance(failure, AcceptedNegativeData) and case.media_type == "multipart/form-data":
        # everything in a form is text, and an empty list or object is sent as nothing
        return "Incorrect type" not in failure.message and not _is_replaced(failure, case)
    if isinstance(failure, UnsupportedMethodResponse) and case.method == "GET":
        # a GET request with a body is rejected before its route is looked at
        return response.status_code != 400
    if isinstance(failure, GraphQLClientError | GraphQLServerError):
        return not all(_is_allowed(cast("Mapping[str, Any]", error)) for error in failure.errors)
    return True


def _is_replaced(failure: Failure, case: Case[Any]) -> bool:
    """Whether an invalid patient_id of a form was replaced by a valid one of an earlier answer."""
    is_valid = isinstance(case.body, Mapping) and bool(case.body.get("patient_id"))
    return is_valid and any(words in failure.message for words in ("patient_id", "positive test case"))


def _is_allowed(error: Mapping[str, Any]) -> bool:
    code = error["extensions"]["code"]
    return (
        code == "LIMIT_EXCEEDED"
        or (code in GRAPHQL_CODES and "path" in error)
        # introspection, as schemathesis does it, does not tell of `@oneOf`
        or error["message"].startswith(("OneOf Input Object 'AuditEventOrder'", "Field 'AuditEventOrder."))
        # what more such errors end with
        or error["message"].startswith("Too many validation errors")
    )


@schemathesis.check
def answer_is_a_proper_one(ctx: CheckContext, response: Response, case: Case[Any]) -> None:
    """No failure of the gateway's own, no page, no traceback; and every error says what it is."""
    assert response.status_code < 500, response.text
    kind = response.headers.get("content-type", [""])[0]
    assert not kind.startswith("text/"), kind
    assert b"Traceback" not in response.content
    if "json" not in kind:
        return
    answer = response.json()
    if "/graphql" in case.operation.path:
        for error in answer.get("errors", ()):
            _assert_allowed(error["extensions"]["code"])
    elif response.status_code >= 400 and "failedFiles" not in answer:
        assert set(answer) == {"detail", "code"}, answer
        _assert_allowed(answer["code"])


def _assert_allowed(code: str) -> None:
    allowed = {"UNAUTHENTICATED", "BAD_USER_INPUT"}
    if not IS_ANONYMOUS:
        allowed |= {*GRAPHQL_CODES, "NOT_RENDERABLE", "NOT_TRANSCODABLE"}
    assert code in allowed | {"METHOD_NOT_ALLOWED", "UNSUPPORTED_MEDIA_TYPE"}, code


# a link ends within days from now, and is revoked by the id of one that was made
_OF_SHARES = {"Mutation.shareStudy", "Mutation.revokeShare"}


@schemathesis.check
class every_operation_is_reached:  # noqa: N801  it is called as the other checks are
    """Who may do everything does everything at least once; who may do nothing never succeeds."""

    def __init__(self) -> None:
        self.tried: set[str] = set()
        self.done: set[str] = set()

    def after_response(self, ctx: CheckContext, response: Response, case: Case[Any]) -> None:
        self.tried.add(case.operation.label)
        if response.status_code >= 400:
            return
        if "/graphql" not in case.operation.path or any(
            (cast("dict[str, Any]", response.json()).get("data") or {}).values()
        ):
            self.done.add(case.operation.label)

    def after_run(self, ctx: CheckContext) -> None:
        if IS_ANONYMOUS:
            assert not self.done, sorted(self.done)
        else:
            assert self.tried == self.done | (_OF_SHARES & self.tried), sorted(self.tried - self.done)
