export type Engine = typeof import('./engine');

let loading: Promise<Engine> | undefined;

/** Returns the same promise each time, also if it has failed: a browser remembers that a module could not be loaded. */
export function loadEngine(): Promise<Engine> {
  loading ??= import('./engine');
  return loading;
}
