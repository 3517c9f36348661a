import { isLeftBehind } from './fileNames';

/** A file in a ZIP. */
export interface ZipEntry {
  /** With slashes; empty at the root of the ZIP. */
  readonly folder: string;
  readonly name: string;
  /** Not compressed. */
  readonly bytes: number;
  readonly isCompressed: boolean;
  /** Of its local header, from the beginning of the ZIP. */
  readonly offset: number;
}

// APPNOTE.TXT, sections 4.3.7, 4.3.12, 4.3.14 to 4.3.16 and 4.5.3
const DIRECTORY_END = { signature: 0x06054b50, bytes: 22, maxCommentBytes: 65_535 };
const ZIP64_LOCATOR = { signature: 0x07064b50, bytes: 20 };
const ZIP64_DIRECTORY_END = { signature: 0x06064b50, bytes: 56 };
const ENTRY = { signature: 0x02014b50, bytes: 46 };
const LOCAL_HEADER = { signature: 0x04034b50, bytes: 30 };
const ZIP64_EXTRA = 0x0001;
const IN_ZIP64_EXTRA = 0xffffffff;
const UTF_8_FLAG = 0x800;
const STORED = 0;
const DEFLATED = 8;
/** Of about 200,000 files; larger ones are not read into memory. */
const MAX_DIRECTORY_BYTES = 32_000_000;
/** Of a local header, which repeats the name and has an extra field of its own. */
const MAX_LOCAL_HEADER_BYTES = 1_024;

/** The files of a ZIP, without what operating systems add. Rejects where it is damaged. */
export async function readDirectory(zip: Blob): Promise<ZipEntry[]> {
  const { offset, bytes } = await findDirectory(zip);
  if (bytes > MAX_DIRECTORY_BYTES) throw new RangeError('The directory of the ZIP is too large.');
  const view = await viewOf(zip, offset, bytes);
  const entries: ZipEntry[] = [];
  for (let at = 0; at + ENTRY.bytes <= view.byteLength && view.getUint32(at, true) === ENTRY.signature; ) {
    const nameBytes = view.getUint16(at + 28, true);
    const extraBytes = view.getUint16(at + 30, true);
    const name = bytesAt(view, at + ENTRY.bytes, nameBytes);
    // Windows PowerShell 5 writes backslashes
    const path = nameOf(name, (view.getUint16(at + 8, true) & UTF_8_FLAG) !== 0).replaceAll('\\', '/');
    const parts = path.split('/').filter(Boolean);
    const file = { folder: parts.slice(0, -1).join('/'), name: parts.at(-1) ?? '' };
    const method = view.getUint16(at + 10, true);
    if (!path.endsWith('/') && !isLeftBehind(file.name, file.folder) && (method === STORED || method === DEFLATED)) {
      entries.push({ ...file, ...sizesOf(view, at, nameBytes, extraBytes), isCompressed: method === DEFLATED });
    }
    at += ENTRY.bytes + nameBytes + extraBytes + view.getUint16(at + 32, true);
  }
  return entries;
}

/** The first bytes of a file in a ZIP. Rejects where it is damaged. */
export async function readHead(zip: Blob, entry: ZipEntry, maxBytes: number): Promise<Uint8Array> {
  const view = await viewOf(zip, entry.offset, MAX_LOCAL_HEADER_BYTES + maxBytes);
  if (view.getUint32(0, true) !== LOCAL_HEADER.signature) throw new RangeError('The ZIP is damaged.');
  const start = LOCAL_HEADER.bytes + view.getUint16(26, true) + view.getUint16(28, true);
  const data = bytesAt(view, start, Math.max(view.byteLength - start, 0));
  return entry.isCompressed ? inflate(data, maxBytes) : data.slice(0, Math.min(maxBytes, entry.bytes));
}

async function findDirectory(zip: Blob): Promise<{ offset: number; bytes: number }> {
  const tailOffset = Math.max(zip.size - DIRECTORY_END.bytes - DIRECTORY_END.maxCommentBytes, 0);
  const tail = await viewOf(zip, tailOffset, zip.size);
  for (let at = tail.byteLength - DIRECTORY_END.bytes; at >= 0; at--) {
    if (tail.getUint32(at, true) !== DIRECTORY_END.signature) continue;
    const locator = at - ZIP64_LOCATOR.bytes;
    if (locator >= 0 && tail.getUint32(locator, true) === ZIP64_LOCATOR.signature) {
      const offset = Number(tail.getBigUint64(locator + 8, true));
      const end = await viewOf(zip, offset, ZIP64_DIRECTORY_END.bytes);
      if (end.getUint32(0, true) !== ZIP64_DIRECTORY_END.signature) break;
      return { bytes: Number(end.getBigUint64(40, true)), offset: Number(end.getBigUint64(48, true)) };
    }
    return { bytes: tail.getUint32(at + 12, true), offset: tail.getUint32(at + 16, true) };
  }
  throw new RangeError('The ZIP is damaged.');
}

/** The size and the offset of an entry, which are in an extra field where they need more than 32 bits. */
function sizesOf(view: DataView, entry: number, nameBytes: number, extraBytes: number) {
  let bytes = view.getUint32(entry + 24, true);
  let offset = view.getUint32(entry + 42, true);
  const end = entry + ENTRY.bytes + nameBytes + extraBytes;
  for (let at = end - extraBytes; at + 4 <= end; at += 4 + view.getUint16(at + 2, true)) {
    if (view.getUint16(at, true) !== ZIP64_EXTRA) continue;
    let value = at + 4;
    const next = () => {
      value += 8;
      return Number(view.getBigUint64(value - 8, true));
    };
    const isLarge = bytes === IN_ZIP64_EXTRA;
    if (isLarge) bytes = next();
    // the compressed size is between them
    if (view.getUint32(entry + 20, true) === IN_ZIP64_EXTRA) next();
    if (offset === IN_ZIP64_EXTRA) offset = next();
  }
  return { bytes, offset };
}

/** Names without the flag for UTF-8 are in the character set of the system that made the ZIP: a guess, for display. */
function nameOf(bytes: Uint8Array, isUtf8: boolean): string {
  const legacy = { ko: 'euc-kr', ja: 'shift_jis' }[navigator.languages[0]?.slice(0, 2) ?? ''] ?? 'windows-1252';
  try {
    return new TextDecoder('utf-8', { fatal: !isUtf8 }).decode(bytes);
  } catch {
    return new TextDecoder(legacy).decode(bytes);
  }
}

async function inflate(data: Uint8Array<ArrayBuffer>, maxBytes: number): Promise<Uint8Array> {
  const stream = new Blob([data]).stream().pipeThrough(new DecompressionStream('deflate-raw'));
  const reader = stream.getReader();
  const inflated = new Uint8Array(maxBytes);
  let length = 0;
  try {
    while (length < maxBytes) {
      const { done, value } = await reader.read();
      if (done) break;
      const part = value.subarray(0, maxBytes - length);
      inflated.set(part, length);
      length += part.length;
    }
  } catch (error) {
    // the data ends before the file does
    if (length === 0) throw error;
  }
  void reader.cancel().catch(() => undefined);
  return inflated.subarray(0, length);
}

async function viewOf(blob: Blob, offset: number, bytes: number): Promise<DataView<ArrayBuffer>> {
  return new DataView(await blob.slice(offset, offset + bytes).arrayBuffer());
}

function bytesAt(view: DataView<ArrayBuffer>, offset: number, bytes: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(view.buffer, view.byteOffset + offset, Math.min(bytes, view.byteLength - offset));
}
