"""The plugins that Orthanc has loaded."""

from functools import cached_property

from orthancproxy.errors import ArchiveRejected, NotFound
from orthancproxy.orthanc.endpoints import PLUGINS
from orthancproxy.orthanc.find_limits import CallOrthanc
from orthancproxy.orthanc.metadata_attachments import MetadataAttachments
from orthancproxy.orthanc.responses import ID_LIST_DECODER


class Plugins:
    """The plugins of an Orthanc, which is called when they are needed first. Raises ArchiveError."""

    def __init__(self, call: CallOrthanc) -> None:
        self._call = call

    @cached_property
    def names(self) -> frozenset[str]:
        """Their names; none if Orthanc is built without support for plugins, or does not let the gateway list them."""
        try:
            return frozenset(self._call(PLUGINS, decoder=ID_LIST_DECODER))
        except (ArchiveRejected, NotFound):
            return frozenset()

    @cached_property
    def metadata_attachments(self) -> MetadataAttachments | None:
        """What is known of the attachments that the DICOMweb plugin writes; None without this plugin."""
        return MetadataAttachments(self._call) if "dicom-web" in self.names else None

    @property
    def have_gdcm(self) -> bool:
        """Whether GDCM decodes images: JPEG 2000, and by default all others instead of Orthanc."""
        return "gdcm" in self.names
