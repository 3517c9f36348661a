import { useState } from 'react';
import { useSearchParams } from 'wouter';

import type { ImageView, NoPlanes } from './engine';
import { useViewPart } from './useViewState';

interface PlanesState {
  /** Whether planes of the active pane are shown instead of the panes. */
  isShown: boolean;
  obstacle: NoPlanes | null | undefined;
  /** The active pane: the one with planes, or else the one that is chosen. */
  active: number;
  /** The active one of the planes. */
  plane: number;
  setPlane(plane: number): void;
  toggle(): void;
}

/** Planes of a series of the panes; the URL keeps which series it is. */
export function usePlanes(
  panes: readonly string[],
  chosen: number,
  views: readonly (ImageView | undefined)[],
): PlanesState {
  const [parameters, setParameters] = useSearchParams();
  const [plane, setPlane] = useState(0);
  const wanted = panes.indexOf(parameters.get('planes') || '-');
  const isShown = useViewPart(views[wanted], () => obstacleOf(views[wanted]) === null);
  const active = isShown ? wanted : chosen;
  const obstacle = useViewPart(views[active], () => obstacleOf(views[active]));

  function toggle(): void {
    if (obstacle !== null) return;
    setParameters((before) => {
      if (isShown) before.delete('planes');
      else before.set('planes', panes[active] ?? '');
      return before;
    });
  }

  return { isShown, obstacle, active, plane, setPlane, toggle };
}

function obstacleOf(stack: ImageView | undefined): NoPlanes | null | undefined {
  const volume = stack?.shownVolume;
  return typeof volume === 'object' ? null : volume;
}
