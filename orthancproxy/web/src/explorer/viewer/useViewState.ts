import { useSyncExternalStore } from 'react';

import type { View } from './engine';
import { EMPTY, type ViewState } from './viewState';

/** What is around the image of a pane, as it changes. */
export function useViewState(view: View | undefined): ViewState {
  return useViewPart(view, (state) => state);
}

/** A part of it: the component renders again only when that changes, not with every image. */
export function useViewPart<Part>(view: View | undefined, part: (state: ViewState) => Part): Part {
  return useSyncExternalStore(view?.subscribe ?? subscribeToNothing, () => part(view?.snapshot() ?? EMPTY));
}

const subscribeToNothing = () => () => undefined;
