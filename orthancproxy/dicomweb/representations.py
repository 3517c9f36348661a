"""The forms in which DICOMweb sends files and frames, as Accept prefers them (PS3.18 sections 8.7.3 and 8.7.5)."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from orthancproxy.archive.frames import IMAGE_TYPES, NATIVE
from orthancproxy.archive.pixel_data import EXPLICIT_LITTLE
from orthancproxy.archive.transcoding import is_transfer_syntax
from orthancproxy.errors import NotAcceptable
from orthancproxy.http.media_types import MediaRange, best
from orthancproxy.resolvers.retrievals import Representation, StoredForm

DICOM, OCTETS, MULTIPART = "application/dicom", "application/octet-stream", "multipart/related"

_Wanted = tuple[bool, str, str | None]  # whether parts, of which media type, and transfer syntax


def check_accepted(ranges: Sequence[MediaRange], media_types: Iterable[str]) -> None:
    """Raise NotAcceptable if no range has one of these, alone or as parts: nothing needs to be looked up for that."""
    offers = tuple(media_types)
    for one in ranges:
        is_multipart = one.type == "multipart" and one.subtype in ("related", "*")
        named = one.parameters.get("type", "*/*") if is_multipart else f"{one.type}/{one.subtype}"
        if one.quality and _is_of(named.lower(), offers):
            return
    raise NotAcceptable(f"The response is available as: {', '.join(offers)}, or {MULTIPART} of these.")


def file_representations(
    ranges: Sequence[MediaRange], *, is_single: bool
) -> Callable[[StoredForm], list[Representation]]:
    """Return what chooses forms of files. Without a transfer syntax, they are sent in Explicit VR Little Endian.

    Where Orthanc cannot transcode, they are then sent as they are stored.
    """

    def choose(stored: StoredForm) -> list[Representation]:
        def forms(is_multipart: bool, media_type: str, syntax: str | None) -> Iterator[Representation]:
            if not _is_of(media_type, (DICOM,)) or not (is_multipart or is_single):
                return
            wanted = syntax or EXPLICIT_LITTLE
            can_be_made = stored.can_transcode and is_transfer_syntax(wanted)
            if wanted != "*" and (stored.transfer_syntaxes == {wanted} or can_be_made):
                yield Representation(f"{DICOM}; transfer-syntax={wanted}", is_multipart, wanted)
            if syntax in (None, "*"):
                [of_all] = stored.transfer_syntaxes if len(stored.transfer_syntaxes) == 1 else ["*"]
                yield Representation(f"{DICOM}; transfer-syntax={of_all}", is_multipart)

        return _acceptable(ranges, forms)

    return choose


def bulk_data_representations(ranges: Sequence[MediaRange]) -> Callable[[StoredForm], list[Representation]]:
    """Return what chooses forms of a binary value, which have no transfer syntax."""

    def forms(is_multipart: bool, media_type: str, syntax: str | None) -> Iterator[Representation]:
        if _is_of(media_type, (OCTETS,)):
            yield Representation(OCTETS, is_multipart)

    return lambda _: _acceptable(ranges, forms)


def frame_representations(ranges: Sequence[MediaRange]) -> Callable[[StoredForm], list[Representation]]:
    """Return what chooses forms of frames. Without a transfer syntax, they are decoded, if Orthanc can."""

    def choose(stored: StoredForm) -> list[Representation]:
        [of_file] = stored.transfer_syntaxes
        is_native = of_file in NATIVE
        images = IMAGE_TYPES.get(of_file, ())

        def forms(is_multipart: bool, media_type: str, syntax: str | None) -> Iterator[Representation]:
            if not is_multipart and stored.frames > 1:
                return
            is_decoded = syntax in (None, EXPLICIT_LITTLE) or (is_native and syntax == "*")
            if is_decoded and _is_of(media_type, (OCTETS,)) and (is_native or stored.can_transcode):
                decoded = f"{OCTETS}; transfer-syntax={EXPLICIT_LITTLE}"
                yield Representation(decoded, is_multipart, None if is_native else EXPLICIT_LITTLE)
            if syntax in (None, "*", of_file):
                offers = images if is_native or _is_of(media_type, images) else (OCTETS,)
                for offer in offers:
                    if _is_of(media_type, (offer,)):
                        yield Representation(f"{offer}; transfer-syntax={of_file}", is_multipart)

        return _acceptable(ranges, forms)

    return choose


def _acceptable(
    ranges: Sequence[MediaRange], forms: Callable[[bool, str, str | None], Iterable[Representation]]
) -> list[Representation]:
    """Return the forms of each media range, the best first. Raises NotAcceptable if there is none."""
    found = dict.fromkeys(
        form
        for one in sorted(ranges, key=lambda one: -one.quality)
        for wanted in _wanted(one)
        for form in forms(*wanted)
        if _is_accepted(ranges, form)
    )
    if not found:
        offers = dict.fromkeys(
            _name(form)
            for syntax in (None, "*")
            for is_multipart in (True, False)
            for form in forms(is_multipart, "*/*", syntax)
        )
        raise NotAcceptable(f"The response is available as: {', '.join(offers)}.")
    return list(found)


def _name(form: Representation) -> str:
    """Return the media type of a form, as Accept names it."""
    media_type, separator, parameters = form.media_type.partition(";")
    return f'{MULTIPART}; type="{media_type}"{separator}{parameters}' if form.is_multipart else form.media_type


def _wanted(media_range: MediaRange) -> Iterator[_Wanted]:
    name, syntax = f"{media_range.type}/{media_range.subtype}", media_range.parameters.get("transfer-syntax")
    if name in (MULTIPART, "multipart/*", "*/*"):
        yield True, media_range.parameters.get("type", "*/*").lower(), syntax
    if media_range.type != "multipart":
        yield False, name, syntax


def _is_of(media_type: str, offers: Iterable[str]) -> bool:
    """Whether a media type or range is or includes one of these."""
    return any(media_type in (offer, "*/*", f"{offer.partition('/')[0]}/*") for offer in offers)


def _is_accepted(ranges: Sequence[MediaRange], form: Representation) -> bool:
    try:
        best(ranges, [_name(form)])
    except NotAcceptable:
        return False
    return True
