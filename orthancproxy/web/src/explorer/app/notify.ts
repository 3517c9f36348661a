import { useSyncExternalStore } from 'react';

interface Link {
  path: string;
  text: string;
}

export interface Notice {
  id: number;
  /** A sentence that is already translated, or an error, which <ErrorMessage> says. */
  content: string | Error;
  isError: boolean;
  /** Where the reader can go on. */
  link?: Link;
}

const SHOWN_MS = 6_000;
const listeners = new Set<() => void>();
let notices: readonly Notice[] = [];
let lastId = 0;

/** Short messages in the corner of the page, which screen readers read out. */
export const notify = {
  /** With a link, it stays until it is dismissed. */
  success(text: string, link?: Link): void {
    const id = add({ content: text, isError: false, link });
    if (!link) setTimeout(() => dismiss(id), SHOWN_MS);
  },
  /** An error stays until it is dismissed. */
  error(error: Error): void {
    add({ content: error, isError: true });
  },
  /** The same, of what failed without an error. */
  failure(text: string): void {
    add({ content: text, isError: true });
  },
};

export function dismiss(id: number): void {
  update(notices.filter((notice) => notice.id !== id));
}

export function useNotices(): readonly Notice[] {
  return useSyncExternalStore(subscribe, () => notices);
}

function add(notice: Omit<Notice, 'id'>): number {
  lastId += 1;
  update([...notices, { ...notice, id: lastId }]);
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
