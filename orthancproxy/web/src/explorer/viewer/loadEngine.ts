import { useEffect, useState } from 'react';

export type Engine = typeof import('./engine');

let loading: Promise<Engine> | undefined;

/** Returns the same promise each time, also if it has failed: a browser remembers that a module could not be loaded. */
export function loadEngine(): Promise<Engine> {
  loading ??= import('./engine');
  return loading;
}

/** The engine, undefined until it is loaded; an error if it cannot be. A fallback of Suspense would stay for 300 ms. */
export function useEngine(): Engine | undefined {
  const [engine, setEngine] = useState<Engine>();
  const [error, setError] = useState<unknown>();
  useEffect(() => void loadEngine().then(setEngine, setError), []);
  if (error) throw error;
  return engine;
}
