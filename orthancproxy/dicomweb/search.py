"""The search transaction (QIDO-RS, PS3.18 section 10.6)."""

import orjson
from django.http import HttpResponse
from rest_framework.request import Request

from orthancproxy.archive.dicom_json import elements
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import LevelPlan, Needs
from orthancproxy.dicomweb.views import DicomwebView
from orthancproxy.resolvers import hierarchy

JSON_TYPES = ("application/dicom+json", "application/json")
STUDY_KEYWORDS = """
    StudyDate StudyTime AccessionNumber ModalitiesInStudy ReferringPhysicianName PatientName PatientID PatientBirthDate
    PatientSex StudyInstanceUID StudyID NumberOfStudyRelatedSeries NumberOfStudyRelatedInstances
""".split()


class SearchView(DicomwebView):
    """The resources of the level given to `as_view`."""

    level = Level.STUDY

    def get(self, request: Request, **_: str) -> HttpResponse:
        media_type = self.media_type(JSON_TYPES)
        plan = LevelPlan(level=self.level, needs=Needs(frozenset(STUDY_KEYWORDS)), first=100)
        page = hierarchy.get_page(self.entered_context, plan)
        found = [elements(study.tags, STUDY_KEYWORDS) for study in page.resources]
        return HttpResponse(orjson.dumps(found), content_type=media_type)
