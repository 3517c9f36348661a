import { type Header, MAX_HEADER_BYTES, readHeader } from './headers';
import { readDirectory, readHead } from './zip';

/** What a file contains, as far as it was looked at. */
export type Content =
  | { readonly kind: 'dicom'; readonly header: Header }
  | { readonly kind: 'zip'; readonly files: readonly ZippedFile[] }
  /** Neither, or damaged. The gateway decides: it also stores DICOM without preamble. */
  | { readonly kind: 'other' };

/** A file in a ZIP. */
export interface ZippedFile {
  readonly folder: string;
  readonly name: string;
  readonly bytes: number;
  /** Null for what is not DICOM. */
  readonly header: Header | null;
}

const ZIP_SIGNATURE = 'PK\x03\x04';

/** Look at the beginning of a file, or of the files of a ZIP. */
export async function contentOf(file: Blob): Promise<Content> {
  try {
    const head = new Uint8Array(await file.slice(0, MAX_HEADER_BYTES).arrayBuffer());
    const header = readHeader(head);
    if (header) return { kind: 'dicom', header };
    if (String.fromCharCode(...head.subarray(0, 4)) === ZIP_SIGNATURE) return { kind: 'zip', files: await unzip(file) };
  } catch {
    // a damaged ZIP, or a file that was deleted since it was chosen: sending it fails with a reason
  }
  return { kind: 'other' };
}

async function unzip(zip: Blob): Promise<ZippedFile[]> {
  const files: ZippedFile[] = [];
  // one after the other: thousands at once would need gigabytes of memory
  for (const entry of await readDirectory(zip)) {
    const header = await readHead(zip, entry, MAX_HEADER_BYTES).then(readHeader, () => null);
    files.push({ folder: entry.folder, name: entry.name, bytes: entry.bytes, header });
  }
  return files;
}
