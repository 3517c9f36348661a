import { isLeftBehind } from './fileNames';

/** A file to upload, with the folder that it becomes a series of. */
export interface SelectedFile {
  readonly file: File;
  /** With slashes, from the folder that was dropped or chosen; empty for a single file. */
  readonly folder: string;
}

/** Whether a file is a ZIP by its name. */
export function isZip({ file }: SelectedFile): boolean {
  return /\.zip$/i.test(file.name) || file.type === 'application/zip';
}

/** The files of an `<input type="file">`, with or without `webkitdirectory`. */
export function filesOfInput(files: FileList): SelectedFile[] {
  return sorted(
    Array.from(files, (file) => ({ file, folder: file.webkitRelativePath.split('/').slice(0, -1).join('/') })),
  );
}

/** The files of what was dropped, those of its folders included. */
export async function filesOfEntries(entries: readonly FileSystemEntry[]): Promise<SelectedFile[]> {
  return sorted((await Promise.all(entries.map(filesOfEntry))).flat());
}

async function filesOfEntry(entry: FileSystemEntry): Promise<SelectedFile[]> {
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    return [{ file, folder: entry.fullPath.split('/').slice(1, -1).join('/') }];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const files: SelectedFile[] = [];
  // Chromium gives at most 100 entries of a folder at once, and none at its end.
  for (;;) {
    const entries = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (entries.length === 0) return files;
    files.push(...(await Promise.all(entries.map(filesOfEntry))).flat());
  }
}

/** In the order of people: `IM2` before `IM10`. A folder is read in the order of its file system. */
function sorted(files: SelectedFile[]): SelectedFile[] {
  const { compare } = new Intl.Collator(undefined, { numeric: true });
  return files
    .filter(({ file, folder }) => !isLeftBehind(file.name, folder))
    .sort((a, b) => (a.folder === b.folder ? 0 : compare(a.folder, b.folder)) || compare(a.file.name, b.file.name));
}

/** Whether a file can still be read: not if it was changed or deleted since it was chosen. */
export async function isReadable({ file }: SelectedFile): Promise<boolean> {
  return file
    .slice(0, 1)
    .arrayBuffer()
    .then(
      () => true,
      () => false,
    );
}

/** The sum of the sizes of files, in bytes. */
export function bytesOf(files: readonly SelectedFile[]): number {
  return files.reduce((bytes, { file }) => bytes + file.size, 0);
}

/**
 * A hash of 53 bits by which a file is recognized when it is chosen again: by folder, name, size and time of change.
 *
 * Names of files often contain names of patients, which must not stay in the browser.
 */
export function fingerprint({ file, folder }: SelectedFile): string {
  const text = JSON.stringify([folder, file.name, file.size, file.lastModified]);
  // cyrb53 of bryc (public domain)
  let high = 0xdeadbeef;
  let low = 0x41c6ce57;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    high = Math.imul(high ^ code, 2654435761);
    low = Math.imul(low ^ code, 1597334677);
  }
  high = Math.imul(high ^ (high >>> 16), 2246822507) ^ Math.imul(low ^ (low >>> 13), 3266489909);
  low = Math.imul(low ^ (low >>> 16), 2246822507) ^ Math.imul(high ^ (high >>> 13), 3266489909);
  return (4294967296 * (2097151 & low) + (high >>> 0)).toString(36);
}
