import { useEffect, useState } from 'react';

import type { View } from './engine';
import { useViewPart } from './useViewState';

export const MIN_RATE = 1;
export const MAX_RATE = 60;
const USUAL_RATE = 15;

export interface CineControl {
  /** Whether there is more than one image. */
  isOffered: boolean;
  isPlaying: boolean;
  /** Images per second. */
  rate: number;
  toggle(): void;
  setRate(rate: number): void;
}

/** Plays the images of a pane in a loop, at the rate of the file unless told otherwise. */
export function useCine(view: View | undefined): CineControl {
  const frameTime = useViewPart(view, ({ image }) => image?.frameTime);
  const isReady = useViewPart(view, (state) => state.isReady);
  const [playing, setPlaying] = useState<View>();
  const [chosenRate, setRate] = useState<number>();
  const isPlaying = playing !== undefined && playing === view;
  const ofFile = frameTime ? Math.round(1000 / frameTime) : USUAL_RATE;
  const rate = Math.min(MAX_RATE, Math.max(MIN_RATE, chosenRate ?? ofFile));
  const total = useViewPart(view, (state) => state.total);
  const isOffered = isReady && total > 1;

  useEffect(() => {
    if (!view || !isPlaying) return;
    let request = 0;
    let due = performance.now();
    const play = (now: number) => {
      request = requestAnimationFrame(play);
      if (now < due) return;
      // a frame that is late does not make the next ones early
      due = Math.max(due + 1000 / rate, now);
      view.advance();
    };
    request = requestAnimationFrame(play);
    return () => cancelAnimationFrame(request);
  }, [view, isPlaying, rate]);

  return {
    isOffered,
    isPlaying,
    rate,
    toggle: () => setPlaying(isPlaying || !isOffered ? undefined : view),
    setRate,
  };
}
