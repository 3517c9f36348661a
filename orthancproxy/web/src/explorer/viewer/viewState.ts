import type { ImageFacts } from './engine';
import type { Edges } from './geometry';
import type { Window } from './presets';
import type { PlaneName } from './volume';

/** How often the number of loaded images is told: drawing each takes as long as loading some. */
export const LOADED_INTERVAL_MS = 200;

/** What is around the image. */
export interface ViewState {
  index: number;
  /** The number of images, or of places of a plane. */
  total: number;
  /** The number of images that are in memory. */
  loaded: number;
  isReady: boolean;
  error?: Error;
  window?: Window;
  isInverted: boolean;
  /** In percent: at 100, a pixel of the image is one of CSS. */
  zoom: number;
  /** Null where the file has no spacing. */
  mmPerPixel: number | null;
  edges: Edges | null;
  /** The object stays the same from image to image, if its attributes do. */
  image?: ImageFacts;
  /** In mm. */
  sliceLocation?: number;
  /** Where the other planes of a volume are. */
  lines: readonly Line[];
}

/** A line on the canvas, in pixels of CSS. */
export interface Line {
  plane: PlaneName;
  from: readonly [number, number];
  to: readonly [number, number];
}

export const EMPTY: ViewState = {
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
