"""Requests as bytes, each with something wrong about it: an HTTP client would not send them."""

GRAPHQL, REST, UPLOAD = "/graphql/", "/api/orthanc/", "/api/orthanc/upload-patient/"
DICOMWEB = "/dicom-web/"
QUERY = b'{"query": "{ __typename }"}'
FORM = "multipart/form-data; boundary=b"
NESTED = 100_000
# with it, a query that is none is a bad request; without, GraphQL's errors have the status 200
CURRENT = "Accept: application/graphql-response+json"


def request(method: str, target: str | bytes, body: bytes = b"", *headers: str | bytes, length: str = "") -> bytes:
    lines: list[str | bytes] = [f"Content-Length: {length or len(body)}", *headers]
    if not any(header[:5] in ("Host:", b"Host:") for header in headers):
        lines.append("Host: localhost")
    first = method.encode() + b" " + (target if isinstance(target, bytes) else target.encode()) + b" HTTP/1.1\r\n"
    head = b"\r\n".join(line if isinstance(line, bytes) else line.encode() for line in lines)
    return first + head + b"\r\n\r\n" + body


def get(target: str | bytes, *headers: str | bytes) -> bytes:
    return request("GET", target, b"", *headers)


def post(body: bytes, content_type: str | bytes = "application/json", *headers: str | bytes) -> bytes:
    name = b"Content-Type: "
    return request(
        "POST",
        GRAPHQL,
        body,
        name + content_type.encode() if isinstance(content_type, str) else name + content_type,
        *headers,
    )


def form(*parts: bytes, target: str = GRAPHQL, end: bytes = b"--b--\r\n", content_type: str = FORM) -> bytes:
    body = b"".join(b"--b\r\nContent-Disposition: form-data; " + part + b"\r\n" for part in parts) + end
    return request("POST", target, body, f"Content-Type: {content_type}")


def part(name: str, value: str) -> bytes:
    return f'name="{name}"\r\n\r\n{value}'.encode()


FILE = b'name="0"; filename="a.dcm"\r\n\r\nDICM'
OPERATIONS = part("operations", '{"query": "mutation ($f: Upload!) { __typename }", "variables": {"f": null}}')


def mapped(places: str) -> bytes:
    return form(OPERATIONS, part("map", places), FILE)


def nested(before: bytes, after: bytes, around: bytes = b"%s") -> bytes:
    return post(around % (before * NESTED + b"1" + after * NESTED))


GRAPHQL_BODIES = {
    **{
        body.decode(): post(body)
        for body in (b"5", b"[1]", b"[]", b"[{}]", b"null", b'"x"', b"true", b"", b"{", b"{}", b"\x00")
    },
    "nested lists": nested(b"[", b"]"),
    "nested objects": nested(b'{"query":', b"}"),
    "nested variables": nested(b'{"a":', b"}", b'{"query": "{ __typename }", "variables": {"a": %s}}'),
    "nested and never closed": post(b"[" * NESTED),
    "nested extensions": nested(b"[", b"]", b'{"query": "{ __typename }", "extensions": {"a": %s}}'),
    "a nested query": post(b'{"query": "' + b"{a" * NESTED + b"}" * NESTED + b'"}', "application/json", CURRENT),
    "not UTF-8": post(b'{"query": "\xff"}'),
    "an overlong form of UTF-8": post(b'{"query": "\xc0\xaf"}'),
    "UTF-16": post(QUERY.decode().encode("utf-16")),
    "UTF-16, and says so": post(QUERY.decode().encode("utf-16"), "application/json; charset=utf-16"),
    "UTF-32": post(QUERY.decode().encode("utf-32")),
    "a byte order mark": post(b"\xef\xbb\xbf" + QUERY),
    "half a surrogate pair": post(b'{"query": "{ __typename }", "operationName": "\\ud800"}'),
    "half a surrogate pair in UTF-8": post(b'{"query": "\xed\xa0\x80"}'),
    "NaN": post(b'{"query": "{ __typename }", "variables": {"a": NaN}}'),
    "Infinity": post(b'{"query": "{ __typename }", "variables": {"a": -Infinity}}'),
    "a huge number": post(b'{"query": "{ __typename }", "variables": {"a": 1%s}}' % (b"0" * 5000)),
    "a huge exponent": post(b'{"query": "{ __typename }", "variables": {"a": 1e99999}}'),
    "a comment": post(b'{"query": "{ __typename }"} // x'),
    "two requests": post(QUERY + QUERY),
    "a batch": post(b"[%s, %s]" % (QUERY, QUERY)),
    "control characters": post(b'{"query": "{\x01\x00}"}'),
    **{f"query {value}": post(b'{"query": %s}' % value.encode()) for value in ("5", "null", "[]", "{}", "true", "1e9")},
    **{
        f"{name} {value}": post(b'{"query": "{ __typename }", "%s": %s}' % (name.encode(), value.encode()))
        for name in ("variables", "operationName", "extensions")
        for value in ("5", "[]", "[1]", "true", *(['"x"'] if name != "operationName" else ["{}"]))
    },
    "an operation that there is not": post(b'{"query": "{ __typename }", "operationName": "x"}'),
    "a wrong content type": post(QUERY, "text/plain"),
    "an HTML form": post(b"query={__typename}", "application/x-www-form-urlencoded"),
    "a form in another encoding": post(b"query=x", "application/x-www-form-urlencoded; charset=utf-16"),
    "no content type": request("POST", GRAPHQL, QUERY),
    "an empty content type": post(QUERY, ""),
    "half a content type": post(QUERY, "application"),
    "a content type of semicolons": post(QUERY, ";;;=;"),
    "a content type that is no text": post(QUERY, b"\xff\xfe/\x80"),
    "a content type of another encoding": post(QUERY, "text/plain; charset*=foo'x'y"),
    "a content type with a huge section": post(QUERY, f"text/plain; a*{'9' * 5000}=x"),
    "a multipart content type without a boundary": post(QUERY, "multipart/form-data"),
    "a multipart content type with an empty boundary": post(QUERY, "multipart/form-data; boundary="),
    "a multipart content type with a boundary that is no text": post(QUERY, b"multipart/form-data; boundary=\xff"),
    "a long boundary": post(QUERY, f"multipart/form-data; boundary={'b' * 5000}"),
    "another kind of multipart": post(QUERY, "multipart/mixed; boundary=b"),
}
FORMS = {
    "no part": form(),
    "nothing": form(end=b""),
    "a boundary that never comes": form(end=b"--c\r\n\r\nx"),
    "a form that is not ended": form(OPERATIONS, end=b""),
    "a part without a name": form(b"x=1\r\n\r\n1"),
    "a part without a disposition": request("POST", GRAPHQL, b"--b\r\n\r\nx\r\n--b--\r\n", f"Content-Type: {FORM}"),
    "a part of headers": form(b'name="a"' + b"\r\nX: y" * 10_000 + b"\r\n\r\n1"),
    "a long header": form(b'name="%s"\r\n\r\n1' % (b"a" * 100_000)),
    "many parts": form(*[part(str(number), "x") for number in range(20_000)]),
    "many files": form(*[b'name="%d"; filename="x"\r\n\r\n' % number for number in range(20_000)]),
    "names that are no text": form(b'name="\xff\xfe"; filename="\x80"\r\n\r\n\xff'),
    "a name that is nothing": form(b'name=""\r\n\r\n'),
    "no operations": form(part("map", "{}")),
    "no map": form(OPERATIONS),
    "no file": form(OPERATIONS, part("map", '{"0": ["variables.f"]}')),
    "operations that are a number": form(part("operations", "5"), part("map", "{}")),
    "operations that are nested": form(part("operations", "[" * NESTED), part("map", "{}")),
    "operations that are a file": form(b'name="operations"; filename="x"\r\n\r\n{}', part("map", "{}")),
    **{
        f"map {places}": mapped(places)
        for places in (
            "5",
            "[]",
            "null",
            '"x"',
            "[1]",
            "{",
            '{"0": 5}',
            '{"0": "variables.f"}',
            '{"0": [5]}',
            '{"0": [null]}',
            '{"1": ["variables.f"]}',
            '{"0": ["variables.f.g"]}',
            '{"0": ["variables.g.h"]}',
            '{"0": [""]}',
            '{"0": ["."]}',
            '{"0": ["query"]}',
            '{"0": ["variables"]}',
            '{"0": ["variables.__class__.x"]}',
            '{"0": ["0.variables.f"]}',
            '{"0": ["variables.f.99999999999999999999"]}',
            '{"0": ["variables.f\\u0000"]}',
        )
    },
}
ADDRESSES = {
    "variables that are none": get("/graphql/?query={__typename}&variables=[".replace("{", "%7B").replace("}", "%7D")),
    "extensions that are none": get("/graphql/?query=%7B__typename%7D&extensions=5"),
    "a query of NULs": get("/graphql/?query=%00%00", CURRENT),
    "a query of bytes": get("/graphql/?query=%ff%fe", CURRENT),
    "many parameters": get("/graphql/?query=%7B__typename%7D" + "&a=b" * 5000),
    **{
        f"the method {method}": request(method, GRAPHQL)
        for method in ("PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "OPTIONS", "REPORT")
    },
}


REST_REQUESTS = {
    **{
        f"{route}?{name}={value}": get(f"{REST}{route}/?{name}={value}")
        for route, name in (("studies", "patient_id"), ("series", "study_id"), ("instances", "series_id"))
        for value in (
            "",
            "%ff",
            "%00",
            "%",
            "%zz",
            "a" * 5000,
            "%27%22%3C%3E",
            "..%2f..%2f",
            "%e2%80%ae",
            "*",
            "%5C",
            "%0d%0aX:y",
        )
    },
    **{
        f"{route} of {name}": request(method, f"{REST}{address.format(name)}/")
        for name in ("%00", "%ff", "..", "%2e%2e", "a" * 5000, "%0a", "'", "%2f", "%252e")
        for method, route, address in (
            ("GET", "a file", "instances/{}/file"),
            ("GET", "a preview", "instances/{}/preview"),
            ("GET", "an archive", "studies/{}/archive"),
            ("DELETE", "deletion", "series/{}"),
        )
    },
    **{
        f"{method} {path}": request(method, REST + path)
        for path in ("patients/", "upload-patient/", "instances/x/file/", "series/x/", "schema/", "docs/", "nothing/")
        for method in ("PUT", "PATCH", "TRACE", "PROPFIND", "REPORT", "LOCK", "SEARCH")
    },
    **{
        f"the address {path[:40]}": get(path)
        for path in (
            "//",
            "///graphql",
            "//evil.example/graphql",
            "/graphql//",
            "/graphql/../",
            "/graphql/../admin",
            "/%2e%2e/",
            "/%2e%2e%2f",
            "/..%5c..%5c",
            "/;",
            "/graphql;",
            "/graphql;a=b",
            "/graphql/;/",
            "/%",
            "/%zz",
            "/%00",
            "/graphql%00",
            "/%ff",
            "/\\",
            "/~",
            "/.env",
            "/.git/config",
            "/static/../manage.py",
            "/static/%2e%2e/manage.py",
            "/static/..%2f..%2fmanage.py",
            "/static/%00",
            "/static/",
            "/static//etc/passwd",
            "/static/%ff",
            "/a" * 4000,
            "/media/",
            "/api/orthanc",
            "/api/orthanc//patients/",
        )
        if path not in ("/graphql/../", "//")
    },
    "many parameters": get(f"{REST}studies/?" + "a=b&" * 5000),
    "parameters twice": get(f"{REST}studies/?patient_id=%ff&patient_id=%00"),
    "a frame that is none": get(f"{REST}instances/x/preview/?frame=%ff"),
    "an Accept of another encoding": get(f"{REST}instances/x/preview/", "Accept: image/png; q*=foo'x'1"),
    "an upload that is JSON": request("POST", UPLOAD, b"5", "Content-Type: application/json"),
    "an upload of nothing": request("POST", UPLOAD),
    "an upload without a boundary": request("POST", UPLOAD, b"x", "Content-Type: multipart/form-data"),
    "an upload that is not ended": form(part("patient_id", "x"), target=UPLOAD, end=b""),
    "an upload without a patient": form(part("series_path", "x"), target=UPLOAD),
    "an upload whose patient is no text": form(b'name="patient_id"\r\n\r\n\xff\x00', FILE, target=UPLOAD),
    "an upload of many parts": form(*[part("series_path", "x")] * 20_000, target=UPLOAD),
    "a login in another encoding": request(
        "POST", "/login/", b"username=a", "Content-Type: application/x-www-form-urlencoded; charset=rot13"
    ),
    "a login without its token": request(
        "POST", "/login/", b"username=%ff%00", "Content-Type: application/x-www-form-urlencoded"
    ),
    "another host": get("/graphql/", "Host: evil.example"),
    "a host that is none": get("/graphql/", "Host: a b"),
    "a host of bytes": get("/graphql/", b"Host: \xff\xfe"),
    "two hosts": get("/graphql/", "Host: localhost", "Host: evil.example"),
    "no host": b"GET /nothing HTTP/1.1\r\n\r\n",
    "a cookie that is none": get("/api/orthanc/studies/", b"Cookie: sessionid=\xff; =; ;;;"),
    "an authorization that is none": get("/api/orthanc/patients/", b"Authorization: Bearer \xff\xfe"),
    "another authorization": get("/api/orthanc/patients/", "Authorization: Bearer a.b.c"),
    "a token of another kind": get("/api/orthanc/nothing/", "Authorization: Digest x"),
}
STUDY, SERIES, INSTANCE = "studies/1.2", "studies/1.2/series/1.3", "studies/1.2/series/1.3/instances/1.4"
RETRIEVED = (
    *(f"{path}{what}" for path in (STUDY, SERIES, INSTANCE) for what in ("", "/metadata", "/rendered", "/thumbnail")),
    *(f"{INSTANCE}/frames/1{what}" for what in ("", "/rendered", "/thumbnail")),
)
WADO_URI = "wado?requestType=WADO&studyUID=1.2&seriesUID=1.3&objectUID=1.4"
MALFORMED_UIDS = (
    *("..", "%2e%2e", "%2E%2e", "..%5c", "1..2", "%00", "1%00", "%ff", "%0a", "%0d%0aX:y", "*", "%3f", "1%5C2", "%20"),
    *("'", "%22", "%25", "%252e%252e", "%e2%80%ae", "~", "{}", "1,2", "1;2", "1" * 65, "1" * 5000, "%d9%a1"),
)
MALFORMED_ACCEPTS: tuple[str | bytes, ...] = (
    *(
        "x",
        "/",
        "image/",
        "/jpeg",
        "*/jpeg",
        "image/jpeg;q=2",
        "image/jpeg;q=-1",
        "image/jpeg;q=nan",
        'image/jpeg; x="',
    ),
    *("image/jpeg image/png", "image/jpeg;;;=", "multipart/related; type=" + '"' * 99, "image/jpeg," * 2000),
    *("a/b;" * 1000, "a/b;c=d" * 500, "x" * 5000, 'multipart/related; type="' + "a" * 5000, "a/b;q=0.0000"),
    *(b"\xff\xfe", b"image/\xe9", "text/html", "application/xml", "image/gif", "video/mp4", "*/*;q=0"),
    'multipart/related; type="application/pdf"',
)
FRAME_LISTS = (
    *("0", "-1", "1,", ",1", "1,,2", ",", "a", "1.5", "0x1", "1e3", "9" * 11, "9" * 5000, "1," * 10_000 + "1"),
    *("1;2", "1-3", "%00", "1%2C%00", "%d9%a1", "1%202", "+1", "%2b1", "..", "%2e%2e", "*"),
)
RENDERINGS = (
    *(
        f"viewport={value}"
        for value in ("", "1", "0,0", "1,65536", "-1,1", "x,y", "1,1,1,1,1,1,1", "1,1,0,0,0,0", "%00")
    ),
    *(
        f"viewport={value}"
        for value in ("9" * 5000, "1,1,1e999", "1,1,nan", "1,1,inf", "," * 5000, "1,1,%ff", "1,1,1e99")
    ),
    *(
        f"window={value}"
        for value in ("", "1", "1,2", "1,2,x", "1,0,linear", "1,-1,sigmoid", "nan,1,linear", "1,inf,linear")
    ),
    *(f"window={value}" for value in ("1e99,1,linear", "%00,1,linear", "1,2,linear" * 500, "1,2,LINEARLY", ",,linear")),
    *(f"quality={value}" for value in ("", "0", "101", "-1", "x", "1.5", "9" * 5000, "%00", "%d9%a1")),
    *("annotation=patient", "iccprofile=srgb", "quality=1&quality=2", "viewport=1,1&viewport=1,1"),
)
OLD_RENDERINGS = (
    *("frameNumber=0", "frameNumber=x", "rows=0", "columns=65536", "windowCenter=1", "windowWidth=1", "region=0,0,1"),
    *("region=0,0,1,2", "region=nan,0,1,1", "region=1,1,0,0", "region=" + "0," * 5000, "imageQuality=0", "rows=%00"),
    *(
        "annotation=patient",
        "anonymize=yes",
        "presentationUID=1.2",
        "contentType=x",
        "contentType=text/html",
        "rows=1&rows=2",
    ),
    *(
        "contentType=%ff",
        "contentType=application/dicom&rows=1",
        "contentType=" + "a/b," * 2000,
        "frameNumber=" + "9" * 5000,
    ),
)
SEARCHES = (
    *(
        "limit=-1",
        "limit=x",
        "limit=1.5",
        "limit=%00",
        "limit=" + "9" * 5000,
        "offset=-1",
        "offset=%d9%a1",
        "limit=1&limit=2",
    ),
    *("includefield=%00", "includefield=%ff", "includefield=Nonsense", "includefield=zzzzzzzz", "fuzzymatching=maybe"),
    *(),
    *("Nonsense=1", "PixelData=1", "RequestAttributesSequence=1", "0040A730.00100020=1", "PatientID=1&PatientID=2"),
    *("PatientID=" + "a" * 5000, "StudyInstanceUID=" + "1," * 20_000),
)
_FEW = slice(None, None, 9)
DICOMWEB_REQUESTS = {
    **{
        f"{path[:60]} ({uid[:20]})": get(f"{DICOMWEB}{path.format(uid)}")
        for path, uids in (
            ("studies/{}/rendered", MALFORMED_UIDS),
            ("studies/1.2/series/1.3/instances/{}", MALFORMED_UIDS),
            ("wado?requestType=WADO&studyUID=1.2&seriesUID=1.3&objectUID={}", MALFORMED_UIDS),
            ("studies/{}/metadata", MALFORMED_UIDS[_FEW]),
            ("studies/{}/series", MALFORMED_UIDS[_FEW]),
            ("studies/1.2/series/{}", MALFORMED_UIDS[_FEW]),
            ("studies/1.2/series/{}/thumbnail", MALFORMED_UIDS[_FEW]),
            ("studies/1.2/series/1.3/instances/{}/frames/1", MALFORMED_UIDS[_FEW]),
            ("studies/1.2/series/1.3/instances/{}/bulkdata/7FE00010", MALFORMED_UIDS[_FEW]),
        )
        for uid in uids
        # a part of a path that begins a query
        if not (uid == "?" and "wado" in path)
    },
    **{
        f"{path} as {accept[:40]!r}": get(
            f"{DICOMWEB}{path}", b"Accept: " + (accept if isinstance(accept, bytes) else accept.encode())
        )
        for path, accepts in (
            (f"{INSTANCE}/rendered", MALFORMED_ACCEPTS),
            ("studies", MALFORMED_ACCEPTS),
            *(
                (path, MALFORMED_ACCEPTS[_FEW])
                for path in (*RETRIEVED, WADO_URI, f"{STUDY}/series", f"{SERIES}/instances")
            ),
            *((path, ("text/html", "*/*;q=0", "multipart/related; type=x/y")) for path in RETRIEVED),
        )
        for accept in accepts
    },
    **{
        f"frames {frames[:20]}{what}": get(f"{DICOMWEB}{INSTANCE}/frames/{frames}{what}")
        for what, lists in (("", FRAME_LISTS), ("/rendered", FRAME_LISTS[_FEW]), ("/thumbnail", FRAME_LISTS[_FEW]))
        for frames in lists
    },
    **{f"rendered {query[:30]}": get(f"{DICOMWEB}{INSTANCE}/rendered?{query}") for query in RENDERINGS},
    **{f"a study rendered {query[:30]}": get(f"{DICOMWEB}{STUDY}/rendered?{query}") for query in RENDERINGS[_FEW]},
    **{f"wado {query[:30]}": get(f"{DICOMWEB}{WADO_URI}&{query}") for query in OLD_RENDERINGS},
    **{f"search {query[:30]}": get(f"{DICOMWEB}studies?{query}") for query in SEARCHES},
    **{
        f"bulk data {attribute[:30]}": get(f"{DICOMWEB}{INSTANCE}/bulkdata/{attribute}")
        for attribute in (
            "x",
            "7FE0001",
            "..",
            "7FE00010/../x",
            "%00",
            "00080001/" * 5000 + "7FE00010",
            "00880200/0/7FE00010",
        )
    },
    **{
        f"{method} {path}": request(method, f"{DICOMWEB}{path}")
        for method in ("PUT", "PATCH", "REPORT")
        for path in (STUDY, f"{STUDY}/rendered", f"{INSTANCE}/frames/1", "studies", "wado")
    },
    "wado without parameters": get(f"{DICOMWEB}wado"),
    "wado of something else": get(f"{DICOMWEB}wado?requestType=x"),
    "nothing": get(f"{DICOMWEB}nothing"),
    "a POST to the mount point": request("POST", DICOMWEB),
}
NOT_HTTP = {
    "an endless address": get("/graphql/?query=" + "a" * 80_000)[:-2],
    "many headers": get("/graphql/", *["X: y"] * 20_000)[:-2],
    "an endless header": get("/graphql/", "X: " + "y" * 80_000)[:-2],
    "not HTTP at all": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "an unknown method": request("FOO", "/"),
    "a method in small letters": request("get", "/"),
    "no method": b" / HTTP/1.1\r\n\r\n",
    "another protocol": b"GET / ICY/1.0\r\n\r\n",
    "a version that is none": b"GET / HTTP/9.9\r\n\r\n",
    "an address that is not encoded": get(b"/graphql/?query=\xff"),
    "an address of NULs": get(b"/\x00"),
    "a header without a colon": get("/", "X"),
    "a header of NULs": get("/", b"X: \x00"),
    "a folded name": get("/", "X y: z"),
    "a length in words": request("POST", GRAPHQL, QUERY, length="many"),
    "a length below zero": request("POST", GRAPHQL, QUERY, length="-1"),
    "a length that nothing holds": request("POST", GRAPHQL, QUERY, length="9" * 40),
    "two lengths": request("POST", GRAPHQL, QUERY, "Content-Length: 5"),
    "a length and chunks": request("POST", GRAPHQL, b"0\r\n\r\n", "Transfer-Encoding: chunked"),
    "chunks that are none": b"POST /graphql/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "another transfer coding": b"POST /graphql/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: x\r\n\r\n",
}
