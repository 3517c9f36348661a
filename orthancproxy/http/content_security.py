"""Content security policies (W3C, CSP Level 3): what a browser may do with a response."""


def policy(*allowed: str) -> str:
    """Return a policy that allows only what these directives allow."""
    names = {directive.split(" ")[0] for directive in allowed}
    # default-src does not cover these
    forbidden = [f"{name} 'none'" for name in ("base-uri", "form-action", "frame-ancestors") if name not in names]
    return "; ".join(("default-src 'none'", *allowed, *forbidden))


NOTHING = policy()
SANDBOX = policy("sandbox")
"""For uploaded content: a page among it runs no scripts, and has an origin of its own."""
