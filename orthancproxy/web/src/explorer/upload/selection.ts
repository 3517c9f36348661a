import type { SelectedFile } from './files';
import type { UploadValues } from './request';
import type { UploadRun } from './UploadRun';

/** What the page of uploads is about. */
export interface Selection {
  readonly files: readonly SelectedFile[];
  /** Whether folders that were dropped are still being read. */
  readonly isReading: boolean;
  /** Null before the user has started it. */
  readonly run: UploadRun | null;
  /** Those that the gateway has rejected, to be corrected. */
  readonly values: UploadValues | null;
}

const NOTHING: Selection = { files: [], isReading: false, run: null, values: null };

let selection = NOTHING;
const listeners = new Set<() => void>();

/** The selection outlives the page of uploads: an upload goes on while the user looks at other pages. */
export const currentSelection = (): Selection => selection;

/** Call `listener` whenever the selection changes; the result ends that. */
export function onSelection(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Add files to what is selected, each once. False if an upload is not over yet: nothing can be added to it. */
export function select(files: readonly SelectedFile[]): boolean {
  if (selection.run && !selection.run.isOver) return false;
  const before = selection.run ? NOTHING : selection;
  const key = ({ folder, file }: SelectedFile) => JSON.stringify([folder, file.name]);
  const known = new Set(before.files.map(key));
  change({ ...before, files: [...before.files, ...files.filter((file) => !known.has(key(file)))], isReading: false });
  return true;
}

/** Add files as `select` does, once they are read from folders. */
export async function selectWhenRead(files: Promise<readonly SelectedFile[]>): Promise<boolean> {
  const isFree = !selection.run || selection.run.isOver;
  if (isFree) change({ ...(selection.run ? NOTHING : selection), isReading: true });
  try {
    return select(await files);
  } finally {
    if (selection.isReading) change({ ...selection, isReading: false });
  }
}

/** Show an upload. */
export function show(run: UploadRun): void {
  change({ ...NOTHING, files: run.files, run });
}

/** Go back to the review of an upload that the gateway has rejected, with its values. */
export function review(run: UploadRun): void {
  run.cancel();
  change({ ...NOTHING, files: run.files, values: run.values });
}

/** Begin anew. */
export function clear(): void {
  change(NOTHING);
}

function change(next: Selection): void {
  selection = next;
  for (const listener of listeners) listener();
}
