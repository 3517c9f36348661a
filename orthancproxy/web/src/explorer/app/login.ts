import { useSyncExternalStore } from 'react';

const listeners = new Set<() => void>();
let isNeeded = false;

/** Called where the server answers that the caller is not authenticated, and again when that is over. */
export function setLoginNeeded(value: boolean): void {
  if (isNeeded === value) return;
  isNeeded = value;
  for (const listener of listeners) listener();
}

/** Whether the session has ended, so that the user has to log in to go on. */
export function isLoginNeeded(): boolean {
  return isNeeded;
}

/** The same, as it changes. */
export function useLoginNeeded(): boolean {
  return useSyncExternalStore(subscribe, isLoginNeeded);
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
