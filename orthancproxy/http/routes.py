"""The template of a request's route: one of those that the code declares, whatever the path has."""

import re
from functools import cache

from django.urls import ResolverMatch

CONVERTED = re.compile(r"<(?:\w+:)?(\w+)>")  # a converter in a Django route
OTHER = "other"


def template_of(match: ResolverMatch | None) -> str:
    """Return the template, such as `/api/studies/{study_id}`; OTHER for a path that no view has, as of static files."""
    return _template(match.route) if match else OTHER


@cache
def _template(route: str) -> str:
    return "/" + CONVERTED.sub(r"{\1}", route)
