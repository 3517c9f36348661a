import { useSyncExternalStore } from 'react';

import type { View, ViewState } from './engine';

const NOTHING: ViewState = {
  index: 0,
  total: 0,
  loaded: 0,
  isReady: false,
  isInverted: false,
  zoom: 100,
  mmPerPixel: null,
  edges: null,
  lines: [],
};

/** What is around the image of a pane, as it changes. */
export function useViewState(view: View | undefined): ViewState {
  return useViewPart(view, (state) => state);
}

/** A part of it: the component renders again only when that changes, not with every image. */
export function useViewPart<Part>(view: View | undefined, part: (state: ViewState) => Part): Part {
  return useSyncExternalStore(view?.subscribe ?? subscribeToNothing, () => part(view?.snapshot() ?? NOTHING));
}

const subscribeToNothing = () => () => undefined;
