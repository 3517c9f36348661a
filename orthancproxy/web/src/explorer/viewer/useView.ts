import { type RefObject, useEffect, useRef, useState } from 'react';

import type { View } from './engine';
import { type Engine, useEngine } from './loadEngine';

export type OnView<V extends View = View> = (index: number, view: V | undefined) => void;

/** Makes a view on a canvas once the engine is loaded, for as long as the component is there. */
export function useView<V extends View>(
  make: (engine: Engine, canvas: HTMLDivElement) => V,
  index: number,
  onView: OnView<V>,
): { canvas: RefObject<HTMLDivElement | null>; view: V | undefined } {
  const engine = useEngine();
  const canvas = useRef<HTMLDivElement>(null);
  const [view, setView] = useState<V>();
  useEffect(() => {
    if (!engine || !canvas.current) return;
    const made = make(engine, canvas.current);
    setView(made);
    onView(index, made);
    return () => {
      onView(index, undefined);
      made.destroy();
    };
  }, [engine, make, index, onView]);
  return { canvas, view };
}
