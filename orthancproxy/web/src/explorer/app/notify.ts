import { useSyncExternalStore } from 'react';

export interface Notice {
  id: number;
  /** A sentence that is already translated, or an error, which <ErrorMessage> says. */
  content: string | Error;
  isError: boolean;
}

const SHOWN_MS = 6_000;
const listeners = new Set<() => void>();
let notices: readonly Notice[] = [];
let lastId = 0;

/** Short messages in the corner of the page, which screen readers read out. */
export const notify = {
  success(text: string): void {
    const id = add(text, false);
    setTimeout(() => dismiss(id), SHOWN_MS);
  },
  /** An error stays until it is dismissed. */
  error(error: Error): void {
    add(error, true);
  },
  /** The same, of what failed without an error. */
  failure(text: string): void {
    add(text, true);
  },
};

export function dismiss(id: number): void {
  update(notices.filter((notice) => notice.id !== id));
}

export function useNotices(): readonly Notice[] {
  return useSyncExternalStore(subscribe, () => notices);
}

function add(content: Notice['content'], isError: boolean): number {
  lastId += 1;
  update([...notices, { id: lastId, content, isError }]);
  return lastId;
}

function update(changed: readonly Notice[]): void {
  notices = changed;
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
