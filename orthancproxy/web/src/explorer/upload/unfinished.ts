import { fingerprint, type SelectedFile } from './files';

/**
 * What the browser keeps of an upload so that it can go on after a reload: no names and no content. The values of the
 * patient are asked of the gateway by the key.
 */
export interface UnfinishedUpload {
  readonly uploadKey: string;
  readonly username: string;
  /** When a file was stored last, in milliseconds since 1970. */
  readonly keptAt: number;
  /** The fingerprints of all files. */
  readonly files: readonly string[];
  /** Those of the files that are stored. */
  readonly stored: readonly string[];
}

const PREFIX = 'orthancproxy.upload.';
const MAX_AGE_MS = 14 * 24 * 60 * 60 * 1000;

/** The user's unfinished uploads, the newest first. Those of more than two weeks ago are forgotten. */
export function unfinishedUploads(username: string, storage: Storage = localStorage): UnfinishedUpload[] {
  const uploads: UnfinishedUpload[] = [];
  const names = Array.from({ length: storage.length }, (_, at) => storage.key(at) ?? '');
  for (const name of names.filter((name) => name.startsWith(PREFIX))) {
    const upload: UnfinishedUpload = JSON.parse(storage.getItem(name) ?? '');
    if (upload.keptAt < Date.now() - MAX_AGE_MS) storage.removeItem(name);
    else if (upload.username === username) uploads.push(upload);
  }
  return uploads.sort((a, b) => b.keptAt - a.keptAt);
}

/** Keep an upload. Without space for it, it cannot be continued after a reload. */
export function keep(upload: UnfinishedUpload, storage: Storage = localStorage): void {
  try {
    storage.setItem(PREFIX + upload.uploadKey, JSON.stringify(upload));
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
  }
}

/** Forget an upload. */
export function forget(uploadKey: string, storage: Storage = localStorage): void {
  storage.removeItem(PREFIX + uploadKey);
}

/** The unfinished upload that most of the files belong to, if they belong to any. */
export function recognize(
  files: readonly SelectedFile[],
  uploads: readonly UnfinishedUpload[],
): UnfinishedUpload | undefined {
  if (uploads.length === 0) return undefined;
  const prints = files.map(fingerprint);
  const counted = uploads.map((upload) => {
    const known = new Set(upload.files);
    return { upload, count: prints.filter((print) => known.has(print)).length };
  });
  const [best] = counted.sort((a, b) => b.count - a.count);
  return best && best.count > 0 ? best.upload : undefined;
}
