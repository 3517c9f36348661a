/** Limits of one request. */
export interface ChunkLimits {
  readonly files: number;
  readonly bytes: number;
}

/**
 * Small enough that a pause or a lost connection costs seconds, large enough that requests cost little: a request of
 * 50 slices of a CT has 25 MB.
 */
export const CHUNK_LIMITS: ChunkLimits = { files: 50, bytes: 25_000_000 };

/**
 * The first of the waiting files that fit into one request: at least one, even where it is larger than a request.
 *
 * A file of which `isAlone` holds is a request of its own.
 */
export function firstChunk(
  waiting: readonly number[],
  size: (index: number) => number,
  isAlone: (index: number) => boolean,
  limits: ChunkLimits,
): number[] {
  const [first] = waiting;
  if (first !== undefined && isAlone(first)) return [first];
  let bytes = 0;
  const end = waiting.findIndex((index, at) => {
    bytes += size(index);
    return at > 0 && (at === limits.files || bytes > limits.bytes || isAlone(index));
  });
  return waiting.slice(0, end === -1 ? waiting.length : end);
}
