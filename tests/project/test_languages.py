"""The pages in the language of the browser; the APIs in English."""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import translation
from pytest_django import Settings

from dev.compile_messages import LOCALES, compiled, messages
from orthancproxy.audit.kinds import AuditOutcome, Authentication, EventKind
from orthancproxy.sandbox.gateway import CHECKOUT
from tests.audit.events import create_event

pytestmark = pytest.mark.django_db


@dataclass(frozen=True, slots=True)
class Language:
    """What a browser sends, and texts of Django's and of ours."""

    header: str
    code: str
    log_in: str
    wrong_password: str
    wait: str
    log_out: str
    tokens: str
    no_tokens: str
    expires_in: str
    administration: str
    pattern: str
    event: str
    operation: str


LANGUAGES = [
    Language(
        "ko-KR,ko;q=0.9,en;q=0.8",
        "ko",
        "로그인",
        "비밀번호를 입력하",
        "15분 후에 다시 시도하세요.",
        "로그아웃",
        "API 토큰",
        "토큰이 없습니다.",
        "유효 기간(일)",
        "사이트 관리",
        "PatientID가 패턴과 일치하는 환자",
        "감사 이벤트",
        "작업",
    ),
    Language(
        "ja,en-US;q=0.7",
        "ja",
        "ログイン",
        "正しいユーザー名とパスワードを入力してください",
        "15分後にもう一度お試しください。",
        "ログアウト",
        "APIトークン",
        "トークンはありません。",
        "有効期間（日）",
        "サイト管理",
        "PatientIDがパターンに一致する患者",
        "監査イベント",
        "操作",
    ),
    *(
        Language(
            header,
            "en",
            "Log in",
            "Please enter a correct username and password",
            "Wait 15 minutes, and try again.",
            "Log out",
            "API tokens",
            "You have no tokens.",
            "Days until it expires",
            "Site administration",
            "patients whose PatientID is like",
            "audit event",
            "operation",
        )
        for header in ("de", "")
    ),
]


@pytest.fixture(params=LANGUAGES, ids=lambda language: language.header or "none")
def language(request: pytest.FixtureRequest) -> Language:
    found: Language = request.param
    return found


@pytest.fixture
def client(language: Language) -> Iterator[Client]:
    yield Client(headers={"accept-language": language.header} if language.header else {})
    # no page leaves its language to the next request of its thread
    assert translation.get_language() == "en"


@pytest.fixture
def administrator(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("root"), backend="orthancproxy.project.login.PasswordBackend")
    return client


def page(
    client: Client, language: Language, path: str, form: Mapping[str, str] | None = None, status: int = 200
) -> str:
    response = client.get(path) if form is None else client.post(path, form)
    assert response.status_code == status
    assert response["Content-Language"] == language.code
    assert "Accept-Language" in response["Vary"]
    content = response.content.decode()
    assert f'<html lang="{language.code}"' in content
    return content


@pytest.mark.parametrize("path", ["/login/", "/admin/login/"])
def test_login_page(client: Client, language: Language, settings: Settings, path: str) -> None:
    settings.AXES_FAILURE_LIMIT = 2
    assert language.log_in in page(client, language, path)
    wrong = {"username": "nobody", "password": "wrong"}
    content = page(client, language, path, wrong)
    assert path == "/admin/login/" or language.wrong_password in content
    assert language.wait in page(client, language, path, wrong, status=429)


def test_tokens_page(administrator: Client, language: Language) -> None:
    content = page(administrator, language, "/tokens/")
    for text in (language.tokens, language.no_tokens, language.expires_in, language.log_out):
        assert text in content
    # the message is Django's
    assert f"{language.expires_in}: " in page(administrator, language, "/tokens/", {"days": "9999"}, status=400)


def test_admin_site(administrator: Client, language: Language) -> None:
    index = page(administrator, language, "/admin/")
    for text in (language.administration, language.tokens, language.log_out):
        assert text in index
    assert language.event in index.lower()
    assert language.pattern in page(administrator, language, "/admin/auth/group/add/")
    event = create_event(event=EventKind.DELETION)
    assert language.operation in page(administrator, language, "/admin/orthancproxy/auditevent/").lower()
    content = page(administrator, language, f"/admin/orthancproxy/auditevent/{event.pk}/change/")
    with translation.override(language.code):
        label = str(EventKind.DELETION.label)
    assert label in content
    assert (label == "Deletion") == (language.code == "en")


@pytest.mark.parametrize(
    "path", ["/graphql/", "/api/orthanc/nowhere/", "/api/orthanc/patients/?order=x", "/livez", "/x"]
)
def test_apis_do_not_vary(client: Client, path: str) -> None:
    headers = {"x-request-id": "one"}
    response, english = client.post(path, headers=headers), Client(headers=headers).post(path)
    assert (response.status_code, response.content) == (english.status_code, english.content)
    assert "Accept-Language" not in response.get("Vary", "")
    assert "Content-Language" not in response


CATALOGS = sorted(LOCALES.rglob("*.po"))


def source_texts() -> set[str]:
    """Return the texts that the code and the templates mark for translation."""
    found: set[str] = set()
    for path in (CHECKOUT / "orthancproxy").glob("**/*.html"):
        found.update(re.findall(r'{% translate "([^"]+)" %}', path.read_text("utf-8")))
    for path in (CHECKOUT / "orthancproxy").glob("**/*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Call(func=ast.Name(id="_" | "gettext" | "gettext_lazy"), args=[ast.Constant(value=str(text))]):
                    found.add(text)
    for kind in (EventKind, AuditOutcome, Authentication):
        found.update(str(label) for label in kind.labels)
    return found


@pytest.mark.parametrize("path", CATALOGS, ids=lambda path: path.parts[-3])
def test_catalog_is_complete_and_compiled(path: Path) -> None:
    texts = messages(path.read_text("utf-8"))
    assert source_texts() - set(texts) == set()
    assert all(texts.values())
    assert path.with_suffix(".mo").read_bytes() == compiled(path.read_text("utf-8")), "run `make messages`"


@pytest.mark.parametrize("path", CATALOGS, ids=lambda path: path.parts[-3])
def test_no_text_is_replaced_by_that_of_another_application(path: Path) -> None:
    with translation.override(path.parts[-3]):
        for source, text in messages(path.read_text("utf-8")).items():
            # neither the header nor a plural
            assert not source or "\0" in source or translation.gettext(source) == text


def test_each_language_has_a_catalog() -> None:
    assert [path.parts[-3] for path in CATALOGS] == ["ja", "ko"]
