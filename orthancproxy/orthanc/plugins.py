"""The plugins that Orthanc has loaded."""

from dataclasses import dataclass
from functools import cached_property

from orthancproxy.errors import ArchiveRejected, NotFound
from orthancproxy.orthanc.endpoints import MYSQL_INDEX, ODBC_INDEX, PLUGINS, POSTGRESQL_INDEX
from orthancproxy.orthanc.find_limits import CallOrthanc
from orthancproxy.orthanc.metadata_attachments import MetadataAttachments
from orthancproxy.orthanc.responses import ID_LIST_DECODER, PLUGIN_DECODER

# the plugins that replace Orthanc's SQLite index: id → name of the database, and where it says its version
INDEX_PLUGINS = {
    "postgresql-index": ("PostgreSQL", POSTGRESQL_INDEX),
    "mysql-index": ("MySQL", MYSQL_INDEX),
    "odbc-index": ("ODBC", ODBC_INDEX),
}


@dataclass(frozen=True, slots=True)
class IndexPlugin:
    """The plugin that keeps Orthanc's index in a database: the name of the database, and the plugin's version."""

    database: str
    version: str

    def is_since(self, *version: int) -> bool:
        """Whether it is of this version or newer, as a development version ("mainline") is."""
        numbers = [int(part) for part in self.version.split(".") if part.isdecimal()]
        return not numbers or tuple(numbers) >= version


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

    @cached_property
    def index(self) -> IndexPlugin | None:
        """The plugin that keeps the index; None if there is none, or Orthanc does not let the gateway see it."""
        try:
            for name in sorted(self.names & INDEX_PLUGINS.keys()):
                database, endpoint = INDEX_PLUGINS[name]
                return IndexPlugin(database, self._call(endpoint, decoder=PLUGIN_DECODER).version)
        except (ArchiveRejected, NotFound):
            pass
        return None

    @property
    def have_gdcm(self) -> bool:
        """Whether GDCM decodes images: JPEG 2000, and by default all others instead of Orthanc."""
        return "gdcm" in self.names
