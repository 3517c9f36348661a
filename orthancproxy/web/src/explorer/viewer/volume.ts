/** Whether the slices of a series are a volume, of which other planes can be shown. */

import { cross, direction, distance, dot, type Slice, type Vector } from './slices';

/** A volume in the patient's coordinates, in mm (PS3.3 C.7.6.2.1.1). */
export interface VolumeShape {
  /** Along the normal, at equal distances. */
  slices: readonly Slice[];
  origin: Vector;
  /** The unit vectors of a row, of a column and across the slices. */
  row: Vector;
  column: Vector;
  normal: Vector;
  spacing: number;
}

/** Why slices are no volume. */
export type NoVolume = 'few' | 'frames' | 'unplaced' | 'directions' | 'spacing' | 'tilted';

const MIN_SLICES = 3;
// Cosines of directions that count as the same: about 0.8 degrees apart.
const SAME = 0.9999;
// Of the distance between slices. Files round positions: 0.1 mm of slices at 0.625 mm is 8 % at most.
const MAX_DEVIATION = 0.1;
// Of the depth: 0.3 degrees. A gantry is tilted by whole degrees.
const MAX_TILT = 0.005;
const MAX_ROUNDING_MM = 0.1;

/** Return the volume of slices in any order, or why they are none. */
export function volumeOf(slices: readonly Slice[]): VolumeShape | NoVolume {
  const first = slices[0];
  if (!first || slices.length < MIN_SLICES) return 'few';
  if (slices.some(({ frame }) => frame !== null)) return 'frames';
  if (slices.some(({ position, row, column }) => !position || !row || !column)) return 'unplaced';
  const row = unit(first.row as Vector);
  const column = unit(first.column as Vector);
  const isSame = (slice: Slice) =>
    dot(unit(slice.row as Vector), row) > SAME && dot(unit(slice.column as Vector), column) > SAME;
  if (!slices.every(isSame)) return 'directions';
  const normal = unit(cross(row, column));
  const depth = (slice: Slice) => dot(slice.position as Vector, normal);
  const ordered = [...slices].sort((a, b) => depth(a) - depth(b));
  const lowest = ordered[0] as Slice;
  const origin = lowest.position as Vector;
  const start = depth(lowest);
  const spacing = (depth(ordered.at(-1) as Slice) - start) / (slices.length - 1);
  const isPlaced = (slice: Slice, index: number) =>
    Math.abs(depth(slice) - start - index * spacing) <= MAX_DEVIATION * spacing;
  if (spacing < 1e-3 || !ordered.every(isPlaced)) return 'spacing';
  const isAbove = (slice: Slice) => {
    const away = depth(slice) - start;
    const foot: Vector = [origin[0] + away * normal[0], origin[1] + away * normal[1], origin[2] + away * normal[2]];
    return distance(foot, slice.position as Vector) <= Math.max(MAX_ROUNDING_MM, MAX_TILT * away);
  };
  if (!ordered.every(isAbove)) return 'tilted';
  return { slices: ordered, origin, row, column, normal, spacing };
}

function unit(vector: Vector): Vector {
  return direction([0, 0, 0], vector);
}

export type PlaneName = 'axial' | 'sagittal' | 'coronal';
export const PLANE_NAMES = ['axial', 'sagittal', 'coronal'] as const;

/** The unit vectors along which planes are scrolled: to the feet, to the left, and to the back. */
export const AXES: Readonly<Record<PlaneName, Vector>> = {
  axial: [0, 0, -1],
  sagittal: [1, 0, 0],
  coronal: [0, 1, 0],
};

/** Where a plane can be, in mm along its axis. */
export interface PlaneRange {
  min: number;
  step: number;
  total: number;
}

/** Columns, rows and slices. */
type Triple = readonly [number, number, number];

/** Return where planes across an axis can be. A step goes from voxel to voxel, if they lie along the axis. */
export function rangeOf(shape: VolumeShape, dimensions: Triple, spacing: Triple, axis: Vector): PlaneRange {
  const steps = [shape.row, shape.column, shape.normal].map((unit, at) => dot(unit, axis) * (spacing[at] ?? 0));
  const lengths = steps.map((length, at) => length * ((dimensions[at] ?? 1) - 1));
  const step = Math.hypot(...steps);
  const size = lengths.reduce((sum, length) => sum + Math.abs(length), 0);
  const min = lengths.reduce((sum, length) => sum + Math.min(0, length), dot(shape.origin, axis));
  return { min, step, total: Math.round(size / step) + 1 };
}

/** Return the middle of a volume, or of the slice at a position. */
export function middleOf(shape: VolumeShape, dimensions: Triple, spacing: Triple, position: Vector | null): Vector {
  const half = (at: 0 | 1 | 2) => ((dimensions[at] - 1) * spacing[at]) / 2;
  const depth = position ? dot(position, shape.normal) - dot(shape.origin, shape.normal) : half(2);
  const part = (at: 0 | 1 | 2) =>
    shape.origin[at] + half(0) * shape.row[at] + half(1) * shape.column[at] + depth * shape.normal[at];
  return [part(0), part(1), part(2)];
}

/** The type of a typed array. */
export type VoxelType = 'Uint8Array' | 'Int16Array' | 'Uint16Array' | 'Float32Array';

/** Return the type that holds the values of all images of a volume: decoded images have the smallest for themselves. */
export function voxelTypeOf(min: number, max: number, isInteger: boolean): VoxelType {
  if (!isInteger) return 'Float32Array';
  if (min >= 0 && max <= 0xff) return 'Uint8Array';
  if (min >= -0x8000 && max <= 0x7fff) return 'Int16Array';
  return min >= 0 && max <= 0xffff ? 'Uint16Array' : 'Float32Array';
}
