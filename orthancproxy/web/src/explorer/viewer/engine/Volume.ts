/** The images of a series as a volume. Its voxels are the images' own, in the cache. */

import { cache, Enums, ImageVolume, imageLoader, type Types, utilities } from '@cornerstonejs/core';

import { VolumeError } from '../errors';
import type { Window } from '../presets';
import { dot, type Slice, type Vector } from '../slices';
import {
  AXES,
  middleOf,
  PLANE_NAMES,
  type PlaneName,
  type PlaneRange,
  rangeOf,
  type VolumeShape,
  voxelTypeOf,
} from '../volume';
import { factsOf, type ImageFacts } from './facts';
import { MAX_PREFETCHES } from './images';
import type { PlaneView } from './PlaneView';

/** What a volume begins with: the slice and the window that were looked at. */
export interface Beginning {
  position: Vector | null;
  window: Window | undefined;
}

export interface LoadFailure {
  error: Error;
  slice: Slice;
}

/** Loads what is not in the cache yet. Returns the first failure, after which no further image is loaded. */
export async function loadImages(
  slices: readonly Slice[],
  onLoaded: (count: number) => void,
  signal: AbortSignal,
): Promise<LoadFailure | undefined> {
  // this also marks the others as used: the least recently used images leave the cache first
  const waiting = slices.filter(({ imageId }) => !cache.getImage(imageId));
  let failure: LoadFailure | undefined;
  let loaded = slices.length - waiting.length;
  onLoaded(loaded);
  const work = async () => {
    for (let slice = waiting.shift(); slice && !failure && !signal.aborted; slice = waiting.shift()) {
      try {
        await imageLoader.loadAndCacheImage(slice.imageId, {
          useRGBA: false,
          priority: 0,
          requestType: Enums.RequestType.Prefetch,
        } as never);
      } catch (error) {
        failure ??= { error: error as Error, slice };
      }
      loaded += 1;
      onLoaded(loaded);
    }
  };
  await Promise.all(Array.from({ length: MAX_PREFETCHES }, work));
  return failure;
}

let lastId = 0;

export class Volume {
  readonly id = `volume:${++lastId}`;
  readonly ranges: Readonly<Record<PlaneName, PlaneRange>>;
  readonly offsets: Record<PlaneName, number>;
  readonly facts: ImageFacts;
  readonly mmPerPixel: number;
  readonly window: Window | undefined;
  private readonly volume: ImageVolume;
  private readonly planes = new Set<PlaneView>();
  private isReleased = false;

  /** All images are in the cache. */
  constructor(shape: VolumeShape, beginning: Beginning) {
    const imageIds = shape.slices.map(({ imageId }) => imageId);
    this.volume = volumeOfImages(this.id, imageIds, shape);
    this.facts = {
      ...factsOf(imageIds[imageIds.length >> 1] as string),
      rows: 0,
      columns: 0,
      sliceThickness: undefined,
    };
    this.mmPerPixel = this.volume.spacing[1];
    this.window = beginning.window;
    // from now on, the images stay in the cache
    cache.putVolumeSync(this.id, this.volume);
    const { dimensions, spacing } = this.volume;
    this.ranges = eachPlane((plane) => rangeOf(shape, dimensions, spacing, AXES[plane]));
    const middle = middleOf(shape, dimensions, spacing, beginning.position);
    this.offsets = eachPlane((plane) => dot(middle, AXES[plane]));
  }

  get dimensions(): readonly number[] {
    return this.volume.dimensions;
  }

  add(plane: PlaneView): void {
    this.planes.add(plane);
  }

  remove(plane: PlaneView): void {
    this.planes.delete(plane);
    this.freeIfUnused();
  }

  /** A plane has moved: the others show where it is. */
  moved(name: PlaneName, offset: number): void {
    this.offsets[name] = offset;
    for (const plane of this.planes) if (plane.name !== name) plane.drawLines();
  }

  /** Moves the planes to a place, but one: it is there. */
  meetAt(place: Vector, source: PlaneView): void {
    for (const plane of this.planes) if (plane !== source) plane.moveTo(dot(place, AXES[plane.name]));
  }

  /** The window of one plane is that of the others. */
  windowChanged(source: PlaneView, properties: WindowProperties): void {
    for (const plane of this.planes) if (plane !== source) plane.takeWindow(properties);
  }

  /** Frees memory once the last plane is gone. */
  release(): void {
    this.isReleased = true;
    this.freeIfUnused();
  }

  private freeIfUnused(): void {
    if (!this.isReleased || this.planes.size > 0 || !cache.getVolume(this.id)) return;
    // not `destroy()`, which clears the images
    cache.removeVolumeLoadObject(this.id);
    this.volume.vtkOpenGLTexture.releaseGraphicsResources();
    this.volume.vtkOpenGLTexture.delete();
  }
}

export interface WindowProperties {
  voiRange: { lower: number; upper: number };
  invert: boolean;
}

function eachPlane<T>(find: (plane: PlaneName) => T): Record<PlaneName, T> {
  return Object.fromEntries(PLANE_NAMES.map((plane) => [plane, find(plane)])) as Record<PlaneName, T>;
}

function volumeOfImages(volumeId: string, imageIds: string[], shape: VolumeShape): ImageVolume {
  const images = imageIds.flatMap((imageId) => cache.getImage(imageId) ?? []);
  const first = images[0];
  if (!first || images.length < imageIds.length) throw new VolumeError('The images do not fit into the cache.');
  const { rows, columns, rowPixelSpacing, columnPixelSpacing } = first;
  const isAlike = (image: Types.IImage) =>
    image.rows === rows &&
    image.columns === columns &&
    image.rowPixelSpacing === rowPixelSpacing &&
    image.columnPixelSpacing === columnPixelSpacing &&
    !image.color;
  if (!rowPixelSpacing || !columnPixelSpacing || !images.every(isAlike)) {
    throw new VolumeError('The images differ in their size, or have none.');
  }
  const volume = new ImageVolume({
    volumeId,
    imageIds,
    // so that Cornerstone finds the values of an image without a window in the cache, and does not fetch its file again
    referencedImageIds: imageIds,
    metadata: utilities.makeVolumeMetadata(imageIds),
    dimensions: [columns, rows, imageIds.length],
    spacing: [columnPixelSpacing, rowPixelSpacing, shape.spacing],
    origin: [...shape.origin] as Types.Point3,
    direction: [...shape.row, ...shape.column, ...shape.normal] as Types.Mat3,
    dataType: voxelTypeOf(
      Math.min(...images.map((image) => image.minPixelValue)),
      Math.max(...images.map((image) => image.maxPixelValue)),
      images.every((image) => !(image.voxelManager?.getScalarData() instanceof Float32Array)),
    ),
    numberOfComponents: 1,
  } as Types.ImageVolumeProps);
  volume.isPreScaled = Boolean(first.preScale?.scaled);
  return volume;
}
