/** The images of a series in the order in which they are scrolled. */

export type Vector = readonly [number, number, number];

/** What the order of a series depends on: a part of GraphQL's `Instance`. */
export interface Positioned {
  fileUrl: string;
  instanceNumber?: number | null;
  numberOfFrames?: number | null;
  imagePositionPatient?: readonly number[] | null;
  imageOrientationPatient?: readonly number[] | null;
}

export interface Slice {
  /** Cornerstone's name of the image, which says how to load it. */
  imageId: string;
  fileUrl: string;
  /** The index of the frame, from 0; null for an instance of one frame. */
  frame: number | null;
  /** In mm, in the patient's coordinates (PS3.3 C.7.6.2.1.1); null where the file has none. */
  position: Vector | null;
  /** The direction of a row, of a column, and across both. */
  row: Vector | null;
  column: Vector | null;
  normal: Vector | null;
}

// Cosines of planes that count as parallel: about 1.8 degrees apart.
const PARALLEL = 0.9995;
const MIN_DISTANCE_MM = 1e-3;

export function dot(a: Vector, b: Vector): number {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

export function cross(a: Vector, b: Vector): Vector {
  return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
}

export function distance(from: Vector, to: Vector): number {
  return Math.hypot(to[0] - from[0], to[1] - from[1], to[2] - from[2]);
}

/** Return the unit vector that points from one place to another. */
export function direction(from: Vector, to: Vector): Vector {
  const length = distance(from, to) || 1;
  return [(to[0] - from[0]) / length, (to[1] - from[1]) / length, (to[2] - from[2]) / length];
}

function positionOf({ imagePositionPatient: position }: Positioned): Vector | null {
  return position?.length === 3 ? (position as unknown as Vector) : null;
}

function directionsOf({ imageOrientationPatient: cosines }: Positioned): Pick<Slice, 'row' | 'column' | 'normal'> {
  if (cosines?.length !== 6) return { row: null, column: null, normal: null };
  const [a, b, c, d, e, f] = cosines as [number, number, number, number, number, number];
  return { row: [a, b, c], column: [d, e, f], normal: cross([a, b, c], [d, e, f]) };
}

function normalOf(instance: Positioned): Vector | null {
  return directionsOf(instance).normal;
}

function byNumber(a: Positioned, b: Positioned): number {
  return (a.instanceNumber ?? Number.MAX_SAFE_INTEGER) - (b.instanceNumber ?? Number.MAX_SAFE_INTEGER);
}

/**
 * Return the instances along the normal of their planes, in the direction of their numbers; by number where the planes
 * are not parallel or two of them coincide (phases, echoes), or where a file has no position.
 */
export function inOrder<T extends Positioned>(instances: readonly T[]): T[] {
  const numbered = [...instances].sort(byNumber);
  const normal = numbered[0] && normalOf(numbered[0]);
  if (!normal || numbered.length < 2) return numbered;
  const distances = new Map<T, number>();
  for (const instance of numbered) {
    const position = positionOf(instance);
    const own = normalOf(instance);
    if (!position || !own || dot(own, normal) < PARALLEL) return numbered;
    distances.set(instance, dot(position, normal));
  }
  const depth = (instance: T) => distances.get(instance) ?? 0;
  const placed = [...numbered].sort((a, b) => depth(a) - depth(b));
  const coincide = placed.some(
    (instance, index) => index > 0 && depth(instance) - depth(placed[index - 1] as T) < MIN_DISTANCE_MM,
  );
  if (coincide) return numbered;
  return byNumber(placed[0] as T, placed.at(-1) as T) > 0 ? placed.reverse() : placed;
}

/** Return a slice for each frame of the instances, in order. */
export function slicesOf(instances: readonly Positioned[]): Slice[] {
  return inOrder(instances).flatMap((instance): Slice[] => {
    const { fileUrl, numberOfFrames } = instance;
    const place = { fileUrl, position: positionOf(instance), ...directionsOf(instance) };
    if (!numberOfFrames || numberOfFrames < 2) return [{ ...place, imageId: `wadouri:${fileUrl}`, frame: null }];
    const separator = fileUrl.includes('?') ? '&' : '?';
    return Array.from({ length: numberOfFrames }, (_, frame) => ({
      ...place,
      imageId: `wadouri:${fileUrl}${separator}frame=${frame + 1}`,
      frame,
    }));
  });
}

/**
 * Return the index of the slice of `target` that belongs to one of `source`: the nearest where the planes are parallel,
 * else the one as far into its series; null where the planes intersect.
 */
export function matchingIndex(source: readonly Slice[], index: number, target: readonly Slice[]): number | null {
  const from = source[index];
  const first = target[0];
  if (!from || !first) return null;
  const { position, normal } = from;
  if (position && normal && first.position && first.normal && from.frame === null && first.frame === null) {
    if (Math.abs(dot(normal, first.normal)) < PARALLEL) return null;
    const depth = dot(position, normal);
    let best = 0;
    let nearest = Number.POSITIVE_INFINITY;
    target.forEach((slice, at) => {
      const away = slice.position ? Math.abs(dot(slice.position, normal) - depth) : Number.POSITIVE_INFINITY;
      if (away < nearest) [nearest, best] = [away, at];
    });
    return best;
  }
  return source.length < 2 ? 0 : Math.round((index / (source.length - 1)) * (target.length - 1));
}

/** Return the indexes of the `limit` slices nearest to `current`, which is not among them, the nearest first. */
export function neighbours(current: number, total: number, limit: number): number[] {
  const found: number[] = [];
  for (let away = 1; away < total && found.length < limit; away++) {
    if (current + away < total) found.push(current + away);
    if (current - away >= 0 && found.length < limit) found.push(current - away);
  }
  return found;
}
