/** Files for the tests. */
import { crc32, deflateRawSync } from 'node:zlib';

import type { SelectedFile } from './files';

export function selected(name: string, folder = '', content: string | Uint8Array<ArrayBuffer> = name): SelectedFile {
  return { file: new File([content], name, { lastModified: 0 }), folder };
}

/** Text as Latin-1, or what has no other form. */
type Value = string | Uint8Array;
export type Element = readonly [tag: number, vr: string, value: Value];

const LONG_VRS = ['OB', 'OW', 'SQ', 'UN', 'UT'];

/** A DICOM file of these elements, with an empty preamble. */
export function dicom(elements: readonly Element[], { isImplicit = false } = {}): Uint8Array<ArrayBuffer> {
  const encoded = elements.map(([tag, vr, value]) => {
    const bytes = typeof value === 'string' ? latin1(value) : value;
    // an odd length is not allowed, and tells that an element of undefined length is meant
    const length = bytes.length % 2 ? 0xffffffff : bytes.length;
    const group = [...uint16(tag >>> 16), ...uint16(tag & 0xffff)];
    if (isImplicit) return [...group, ...uint32(length), ...bytes];
    const isLong = LONG_VRS.includes(vr);
    return [...group, ...latin1(vr), ...(isLong ? [0, 0, ...uint32(length)] : uint16(length)), ...bytes];
  });
  return new Uint8Array([...new Uint8Array(128), ...latin1('DICM'), ...encoded.flat()]);
}

interface Zipped {
  readonly path: string | Uint8Array;
  readonly content: Uint8Array;
  readonly isCompressed?: boolean;
}

/** A ZIP, with the sizes and offsets of each entry in a ZIP64 extra field if that is asked for. */
export function zip(files: readonly Zipped[], { isZip64 = false } = {}): Uint8Array<ArrayBuffer> {
  const local: number[] = [];
  const directory: number[] = [];
  for (const { path, content, isCompressed = true } of files) {
    const name = typeof path === 'string' ? new TextEncoder().encode(path) : path;
    const data = isCompressed ? deflateRawSync(content) : content;
    const offset = local.length;
    const common = [
      ...uint16(20),
      ...uint16(0),
      ...uint16(isCompressed ? 8 : 0),
      ...uint32(0),
      ...uint32(crc32(content)),
    ];
    local.push(...uint32(0x04034b50), ...common, ...uint32(data.length), ...uint32(content.length));
    local.push(...uint16(name.length), ...uint16(0), ...name, ...data);
    const extra = [content.length, data.length, offset].flatMap((value) => [...uint32(value), ...uint32(0)]);
    const field = isZip64 ? [...uint16(1), ...uint16(extra.length), ...extra] : [];
    const value = (number: number) => uint32(isZip64 ? 0xffffffff : number);
    directory.push(...uint32(0x02014b50), ...uint16(20), ...common, ...value(data.length), ...value(content.length));
    directory.push(...uint16(name.length), ...uint16(field.length), ...new Uint8Array(10));
    directory.push(...value(offset), ...name, ...field);
  }
  const end64 = [...uint32(0x06064b50), ...new Uint8Array(36), ...uint32(directory.length), 0, 0, 0, 0];
  end64.push(...uint32(local.length), 0, 0, 0, 0);
  const locator = [...uint32(0x07064b50), 0, 0, 0, 0, ...uint32(local.length + directory.length), ...new Uint8Array(8)];
  const end = [...uint32(0x06054b50), ...new Uint8Array(8), ...uint32(directory.length), ...uint32(local.length), 0, 0];
  return new Uint8Array([...local, ...directory, ...(isZip64 ? [...end64, ...locator] : []), ...end]);
}

/** What the browser offers in which uploads are kept. */
export function emptyStorage(): Storage {
  const values = new Map<string, string>();
  return {
    get length() {
      return values.size;
    },
    clear: () => values.clear(),
    key: (at) => [...values.keys()][at] ?? null,
    getItem: (name) => values.get(name) ?? null,
    setItem: (name, value) => void values.set(name, value),
    removeItem: (name) => void values.delete(name),
  };
}

export function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

function uint16(value: number): number[] {
  return [value & 0xff, value >>> 8];
}

function uint32(value: number): number[] {
  return [...uint16(value & 0xffff), ...uint16(value >>> 16)];
}
