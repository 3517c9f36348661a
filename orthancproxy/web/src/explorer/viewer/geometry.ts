/** What the edges of the picture are called, and how long its scale is. */

import type { Vector } from './slices';

// Below this share of a direction a letter says nothing: about 15 degrees.
const MIN_COSINE = 0.25;

const OPPOSITE: Record<string, string> = { L: 'R', R: 'L', A: 'P', P: 'A', H: 'F', F: 'H' };

/** Return the letters of a direction in the patient's coordinates, the strongest first, e.g. `AL` (PS3.3 C.7.6.1.1.1). */
export function letters([x, y, z]: Vector): string {
  return (
    [
      [Math.abs(x), x > 0 ? 'L' : 'R'],
      [Math.abs(y), y > 0 ? 'P' : 'A'],
      [Math.abs(z), z > 0 ? 'H' : 'F'],
    ] as [number, string][]
  )
    .filter(([share]) => share > MIN_COSINE)
    .sort(([a], [b]) => b - a)
    .map(([, letter]) => letter)
    .join('');
}

export function opposite(direction: string): string {
  return [...direction].map((letter) => OPPOSITE[letter] ?? '').join('');
}

export interface Edges {
  top: string;
  right: string;
  bottom: string;
  left: string;
}

/** The directions of the screen in the coordinates of the image. */
export interface Directions {
  up: Vector;
  right: Vector;
}

/** Return what is at the edges of a view whose coordinates are the patient's. */
export function edgesOf(view: Directions): Edges {
  const top = letters(view.up);
  const right = letters(view.right);
  return { top, right, bottom: opposite(top), left: opposite(right) };
}

/**
 * Return what is at the edges of a radiograph, which has no place in space but PatientOrientation (0020,0020): the
 * directions of its rows and of its columns. The coordinates of the view are those of the image.
 */
export function edgesOfProjection(view: Directions, patientOrientation: string | null | undefined): Edges | null {
  const [row, column] = (patientOrientation ?? '').split('\\');
  if (!row || !column) return null;
  const name = ([x, y]: Vector) => {
    const [share, direction] = Math.abs(x) > Math.abs(y) ? [x, row] : [y, column];
    return share > 0 ? direction : opposite(direction);
  };
  const top = name(view.up);
  const right = name(view.right);
  return { top, right, bottom: opposite(top), left: opposite(right) };
}

const STEPS = [1, 2, 5];

/** Return the longest round length in mm (1, 2 or 5 times a power of ten) that fits into `maxPixels`. */
export function scaleLength(mmPerPixel: number, maxPixels: number): number | null {
  const most = mmPerPixel * maxPixels;
  if (!Number.isFinite(most) || most <= 0) return null;
  const power = 10 ** Math.floor(Math.log10(most));
  const step = STEPS.filter((one) => one * power <= most).at(-1) ?? 1;
  return step * power;
}
