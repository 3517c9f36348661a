"""Content security policies (W3C, CSP Level 3): what a browser may do with an answer."""


def policy(*allowed: str) -> str:
    """Return a policy that forbids everything but what these directives allow."""
    names = {directive.split(" ")[0] for directive in allowed}
    # default-src stands for none of the others
    forbidden = [f"{name} 'none'" for name in ("base-uri", "form-action", "frame-ancestors") if name not in names]
    return "; ".join(("default-src 'none'", *allowed, *forbidden))


NOTHING = policy()
SANDBOX = policy("sandbox")
"""For what others have uploaded: were it a page, it would have no scripts, and an origin of its own."""
