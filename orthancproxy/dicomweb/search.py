"""The search transaction (QIDO-RS, PS3.18 section 10.6)."""

from collections.abc import Iterator

from django.http import HttpResponse
from django.utils.cache import patch_vary_headers
from rest_framework.request import Request

from orthancproxy.archive.dicom_search import MAX_RESULTS, DicomSearch, SearchResults
from orthancproxy.archive.levels import Level
from orthancproxy.dicomweb import openapi
from orthancproxy.dicomweb.search_parameters import SearchParameters, parse
from orthancproxy.dicomweb.search_results import render
from orthancproxy.dicomweb.views import DicomwebView
from orthancproxy.resolvers import hierarchy

JSON_TYPES = ("application/dicom+json", "application/json")
TOTAL_HEADER = "X-Total-Count"


class SearchView(DicomwebView):
    """The resources of the level given to `as_view`."""

    level = Level.STUDY
    max_results = MAX_RESULTS

    @openapi.searches
    def get(self, request: Request, **_: str) -> HttpResponse:
        media_type = self.media_type(JSON_TYPES)
        parameters = parse(request.query_params.lists())
        search = DicomSearch(
            self.level,
            self.path,
            parameters.matches,
            parameters.includes,
            parameters.includes_all,
            min(parameters.limit, self.max_results),
            parameters.offset,
        )
        results = hierarchy.search(self.entered_context, search)
        response = HttpResponse(render(results, self.level, self.service), content_type=media_type)
        patch_vary_headers(response, ["Accept"])
        if results.total is not None:
            response[TOTAL_HEADER] = str(results.total)
        if warnings := ", ".join(f"299 {self.service}: {text}" for text in self._warnings(parameters, results)):
            response["Warning"] = warnings
        return response

    def _warnings(self, parameters: SearchParameters, results: SearchResults) -> Iterator[str]:
        """Yield the texts of the standard for parameters that were ignored, and for a list that the gateway has cut."""
        if "fuzzymatching" in parameters.not_supported:
            yield "The fuzzymatching parameter is not supported. Only literal matching has been performed."
        if "emptyvaluematching" in parameters.not_supported:
            yield "The emptyvaluematching parameter is not supported."
        if results.has_next and parameters.limit > self.max_results:
            yield (
                "The number of results exceeded the maximum supported by the server. "
                "Additional results can be requested."
            )
