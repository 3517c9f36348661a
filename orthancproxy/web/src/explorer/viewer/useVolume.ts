import { useCallback, useEffect, useState } from 'react';

import type { ImageView, LoadFailure, Volume } from './engine';
import { loadEngine } from './loadEngine';
import { LOADED_INTERVAL_MS } from './viewState';

interface VolumeOfSeries {
  volume?: Volume;
  /** The number of images that are in memory, while the others are loaded. */
  loaded: number;
  failure?: { error: Error; slice?: LoadFailure['slice'] };
  retry(): void;
}

/** Loads the images of a stack as a volume, which begins where the stack is. */
export function useVolume(stack: ImageView): VolumeOfSeries {
  const [state, setState] = useState<Omit<VolumeOfSeries, 'retry'>>({ loaded: 0 });
  const [attempt, setAttempt] = useState(0);

  // biome-ignore lint/correctness/useExhaustiveDependencies: another attempt loads again
  useEffect(() => {
    const shape = stack.shownVolume;
    if (typeof shape !== 'object') return;
    const abandoned = new AbortController();
    let made: Volume | undefined;
    const load = async () => {
      const { loadImages, Volume } = await loadEngine();
      let loaded = 0;
      let told = Number.NEGATIVE_INFINITY;
      const failure = await loadImages(
        shape.slices,
        (count) => {
          loaded = count;
          const now = performance.now();
          if (abandoned.signal.aborted || now - told < LOADED_INTERVAL_MS) return;
          told = now;
          setState({ loaded });
        },
        abandoned.signal,
      );
      if (abandoned.signal.aborted) return;
      if (failure) return setState({ loaded, failure });
      const { index, window } = stack.snapshot();
      made = new Volume(shape, { position: stack.shownSlices[index]?.position ?? null, window });
      setState({ loaded, volume: made });
    };
    load().catch((error: Error) => setState({ loaded: 0, failure: { error } }));
    return () => {
      abandoned.abort();
      made?.release();
    };
  }, [stack, attempt]);

  const retry = useCallback(() => {
    setState({ loaded: 0 });
    setAttempt((before) => before + 1);
  }, []);
  return { ...state, retry };
}
