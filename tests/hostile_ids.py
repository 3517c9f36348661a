"""Texts that are given for ids to do harm: no Orthanc may ever see one in a path."""

SOME_ID = "0123abcd-0123abcd-0123abcd-0123abcd-0123abcd"
"""What an Orthanc id looks like, and no resource has."""

HOSTILE_IDS = {
    "a path": "../system",
    "an encoded path": "..%2fsystem",
    "an encoded path and query": "%2e%2e/tools/reset?x=",
    "a twice encoded path": "%252e%252e%252ftools%252freset",
    "a path after an id": f"{SOME_ID}/../../tools/reset",
    "a query after an id": f"{SOME_ID}?x=",
    "a long text": "a" * 10_000,
    "NUL": "\0",
    "an id and NUL": f"{SOME_ID}\0",
    "nothing": "",
    "a dot": ".",
    "upper case": SOME_ID.upper(),
    "a line after an id": f"{SOME_ID}\n",
    "a space before an id": f" {SOME_ID}",
    "a request after an id": f"{SOME_ID} HTTP/1.1\r\n\r\nGET /tools/reset",
    "digits of another script": SOME_ID.translate(str.maketrans("0123", "٠١٢٣")),
    "full-width letters": SOME_ID.translate(str.maketrans("abcd", "ａｂｃｄ")),
    "a lone surrogate": "\ud800",
    "no dashes": SOME_ID.replace("-", ""),
    "two ids": f"{SOME_ID},{SOME_ID}",
}
