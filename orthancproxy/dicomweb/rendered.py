"""Rendered resources and thumbnails (WADO-RS, PS3.18 section 10.4.1.1.2): JPEG or PNG images."""

from collections.abc import Callable
from dataclasses import replace

from django.http.response import HttpResponseBase
from rest_framework.request import Request

from orthancproxy.archive.contents import coalesced
from orthancproxy.archive.levels import Level
from orthancproxy.archive.pictures import MediaType
from orthancproxy.archive.storage import Content
from orthancproxy.dicomweb import image_openapi, rendering_parameters
from orthancproxy.dicomweb.rendering_parameters import MEDIA_TYPES
from orthancproxy.dicomweb.retrieve import RetrieveView, frame_numbers
from orthancproxy.errors import InvalidRequest
from orthancproxy.http.multipart_related import multipart_related
from orthancproxy.http.streaming import download_request
from orthancproxy.resolvers import images
from orthancproxy.resolvers.downloads import Download
from orthancproxy.resolvers.rendered import Images, get_rendered

IMAGE = {str(media_type): media_type for media_type in MEDIA_TYPES}
MULTIPART = {f'multipart/related; type="{media_type}"': media_type for media_type in MEDIA_TYPES}


class RenderedView(RetrieveView):
    """All images of a resource: one by itself, or several as a multipart message."""

    parameters = rendering_parameters.RENDERED

    @image_openapi.renders
    def get(self, request: Request, frames: str = "", **_: str) -> HttpResponseBase:
        rendering = rendering_parameters.rendering(request.query_params)
        self.choose(1)
        rendered = get_rendered(
            self.entered_context,
            self.path,
            frame_numbers(frames) if frames else (),
            rendering,
            self.choose,
            download_request(request._request),
        )
        return self.stream(rendered if isinstance(rendered, Download) else self._message(rendered))

    def choose(self, number: int) -> tuple[MediaType, bool]:
        """Return the media type for a number of images, and whether they are the parts of a message.

        One image of several is the first frame of an instance, as from Orthanc's plugin (1.24): viewers ask for it
        without knowing whether there are more.
        """
        offers = IMAGE | MULTIPART
        if number > 1:
            is_first_enough = self.path.instance is not None and "frames" not in self.kwargs
            offers = MULTIPART | IMAGE if is_first_enough else MULTIPART
        chosen = self.media_type(list(offers))
        return offers[chosen], chosen in MULTIPART

    def _message(self, images: Images) -> Download:
        parts = images.parts
        content = multipart_related(parts, images.media_type, images.etag.strip('"'), self.service, parts.close)
        if self.request.method == "HEAD":
            content = Content.headers(content.media_type, None)
        return Download("", images.etag, images.watched(replace(content, chunks=coalesced(content))))


_THUMBNAILS: dict[Level, Callable[..., Download]] = {
    Level.STUDY: images.get_study_thumbnail,
    Level.SERIES: images.get_series_thumbnail,
    Level.INSTANCE: images.get_thumbnail,
}


class RetrieveThumbnailView(RetrieveView):
    """One small image that stands for a resource: of a series, that of the middle instance."""

    parameters = rendering_parameters.THUMBNAIL

    @image_openapi.thumbnails
    def get(self, request: Request, frames: str = "", **_: str) -> HttpResponseBase:
        numbers = frame_numbers(frames) if frames else [1]
        if len(numbers) > 1:
            raise InvalidRequest("A thumbnail is of one frame.")
        rendering = rendering_parameters.thumbnail(request.query_params, IMAGE[self.media_type(MEDIA_TYPES)])
        download = _THUMBNAILS[self.path.level or Level.STUDY](
            self.entered_context,
            self.path,
            rendering=replace(rendering, frame=numbers[0] - 1),
            wanted=download_request(request._request),
        )
        return self.stream(download)
