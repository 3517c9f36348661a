import { decode } from './characterSets';

/** What the beginning of a DICOM file tells of its patient and study. Empty where the file does not have it. */
export interface Header {
  readonly patientId: string;
  readonly patientName: string;
  readonly birthDate: string;
  readonly studyDescription: string;
  readonly seriesDescription: string;
  readonly modality: string;
}

/** Patient and study come first in a file (groups 0008 and 0010); private elements and sequences may come between. */
export const MAX_HEADER_BYTES = 32_768;

const PREAMBLE_BYTES = 128;
const LAST_GROUP = 0x0010;
const UNDEFINED_LENGTH = 0xffffffff;
const LONG_VRS = ['OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'SQ', 'SV', 'UC', 'UN', 'UR', 'UT', 'UV'];
const ITEM_END = 0xfffee00d;
const SEQUENCE_END = 0xfffee0dd;
const TAGS = {
  characterSet: 0x00080005,
  modality: 0x00080060,
  studyDescription: 0x00081030,
  seriesDescription: 0x0008103e,
  patientName: 0x00100010,
  patientId: 0x00100020,
  birthDate: 0x00100030,
};

/** Read the header at the beginning of a DICOM file (PS3.10), as far as it goes; null for what has no `DICM`. */
export function readHeader(head: Uint8Array): Header | null {
  if (String.fromCharCode(...head.subarray(PREAMBLE_BYTES, PREAMBLE_BYTES + 4)) !== 'DICM') return null;
  const values = new Map<number, Uint8Array>();
  readElements(head, PREAMBLE_BYTES + 4, values);
  const terms = new TextDecoder('latin1').decode(values.get(TAGS.characterSet));
  const text = (tag: number) => decode(values.get(tag) ?? new Uint8Array(), terms);
  return {
    patientId: text(TAGS.patientId),
    patientName: text(TAGS.patientName),
    birthDate: text(TAGS.birthDate),
    studyDescription: text(TAGS.studyDescription),
    seriesDescription: text(TAGS.seriesDescription),
    modality: text(TAGS.modality),
  };
}

/** Read the elements of the first level up to LAST_GROUP. A big-endian data set ends the reading: it is retired. */
function readElements(head: Uint8Array, start: number, values: Map<number, Uint8Array>): void {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  let depth = 0;
  for (let at = start; at + 12 <= head.length; ) {
    const group = view.getUint16(at, true);
    const tag = group * 0x10000 + view.getUint16(at + 2, true);
    if (depth === 0 && group > LAST_GROUP) return;
    const vr = String.fromCharCode(head[at + 4] ?? 0, head[at + 5] ?? 0);
    // by the VR itself: implicit ones have a length there, which is rarely two capital letters
    const isDelimiter = group === 0xfffe;
    const isExplicit = !isDelimiter && /^[A-Z]{2}$/.test(vr);
    const isLong = isExplicit && LONG_VRS.includes(vr);
    const length = isExplicit && !isLong ? view.getUint16(at + 6, true) : view.getUint32(at + (isLong ? 8 : 4), true);
    at += isLong ? 12 : 8;
    if (tag === SEQUENCE_END) depth--;
    else if (length === UNDEFINED_LENGTH && !isDelimiter) depth++;
    else if (!isDelimiter && depth === 0) {
      if (at + length > head.length) return;
      values.set(tag, head.subarray(at, at + length));
      at += length;
    } else if (isDelimiter && tag !== ITEM_END && length !== UNDEFINED_LENGTH) at += length;
    else if (!isDelimiter) at += length;
  }
}
