/** Loads images from DICOM files. One request fetches a file, whatever its number of frames. */

import { cache, Enums, imageLoader, registerImageLoader, type Types } from '@cornerstonejs/core';
import { init as initLoader, wadouri } from '@cornerstonejs/dicom-image-loader';

import { setLoginNeeded } from '../../app/login';
import { FileError, ImageError } from '../errors';

type DataSet = Awaited<ReturnType<typeof wadouri.dataSetCacheManager.load>>;

// Of decoded images. With the copies that are under way, the page stays below 1 GB.
const MAX_CACHE_BYTES = 400_000_000;
/** Of images that are loaded before they are looked at, or of a volume: the rest is for those that are looked at. */
export const MAX_LOADED_AHEAD_BYTES = 0.9 * MAX_CACHE_BYTES;
// The browser opens 6 connections to a server: one stays free for the image that the user waits for.
export const MAX_PREFETCHES = 5;
const PIXEL_DATA = 'x7fe00010';

export function startLoader(): void {
  cache.setMaxCacheSize(MAX_CACHE_BYTES);
  initLoader({ useLegacyMetadataProvider: true, maxWebWorkers: Math.max(1, (navigator.hardwareConcurrency || 2) - 1) });
  registerImageLoader('wadouri', load as Types.ImageLoaderFn);
}

/** Returns a DICOM file of the gateway. */
export async function fetchFile(url: string): Promise<ArrayBuffer> {
  // nothing of patients stays on the disk, and the browser would write each file before it is drawn
  const response = await fetch(url, { credentials: 'same-origin', cache: 'no-store' });
  if (response.status === 401) setLoginNeeded(true);
  if (!response.ok) throw new FileError(response.status);
  return response.arrayBuffer();
}

type Options = NonNullable<Parameters<typeof wadouri.loadImage>[1]>;

function load(imageId: string, options: Options = {} as Options): Types.IImageLoadObject {
  const { url, pixelDataFrame } = wadouri.parseImageId(imageId);
  const file = wadouri.dataSetCacheManager.load(url, fetchFile as never, imageId).then(drawable);
  const { promise } = wadouri.loadImageFromPromise(file, imageId, pixelDataFrame, url, options);
  let isLoaded = false;
  return {
    promise: promise.then(
      (image) => {
        isLoaded = true;
        if (!/[?&]frame=/.test(imageId)) dropPixelData(url);
        return image;
      },
      ({ error, dataSet }: { error: unknown; dataSet?: unknown }) => {
        if (dataSet) wadouri.dataSetCacheManager.unload(url);
        throw error instanceof FileError || error instanceof ImageError || error instanceof TypeError
          ? error
          : new ImageError(error instanceof Error ? error.message : String(error));
      },
    ) as Promise<Types.IImage>,
    decache: () => {
      if (isLoaded) wadouri.dataSetCacheManager.unload(url);
    },
  };
}

/** Rejects what Cornerstone would draw in black: pixels that share their colours, without compression (PS3.3 C.7.6.3.1.2). */
function drawable(dataSet: DataSet): DataSet {
  const isCompressed = Boolean(dataSet.elements[PIXEL_DATA]?.fragments);
  if (!isCompressed && dataSet.string('x00280004') === 'YBR_FULL_422') throw new ImageError('Not supported.');
  return dataSet;
}

/** Keeps the attributes of a file whose only image is decoded: its pixels would be in memory twice. */
function dropPixelData(url: string): void {
  const dataSet = wadouri.dataSetCacheManager.get(url);
  const pixelData = dataSet?.elements[PIXEL_DATA];
  if (!dataSet || !pixelData) return;
  const isLast = Object.values(dataSet.elements).every((element) => element.dataOffset <= pixelData.dataOffset);
  if (isLast) setBytes(dataSet, dataSet.byteArray.slice(0, pixelData.dataOffset));
}

/** Lets a data set read from other bytes, with the items of its sequences, which would hold the former ones. */
function setBytes(dataSet: DataSet, bytes: DataSet['byteArray']): void {
  dataSet.byteArray = bytes;
  for (const { items = [] } of Object.values(dataSet.elements)) {
    for (const item of items) if (item.dataSet) setBytes(item.dataSet as DataSet, bytes);
  }
}

/** Loads images before they are looked at, in the order in which they are wanted. */
export class Prefetch {
  private wanted: readonly string[] = [];
  private underWay = 0;
  private isStopped = false;
  private readonly failed = new Set<string>();

  /** `useRGBA` is how the images are drawn: they are decoded for it. */
  constructor(
    private readonly useRGBA: boolean,
    private readonly onLoaded: () => void,
  ) {}

  want(imageIds: readonly string[]): void {
    this.wanted = imageIds;
    this.fill();
  }

  stop(): void {
    this.isStopped = true;
  }

  private fill(): void {
    while (!this.isStopped && this.underWay < MAX_PREFETCHES) {
      const next = this.wanted.find((imageId) => !cache.getImageLoadObject(imageId) && !this.failed.has(imageId));
      if (!next) return;
      this.underWay += 1;
      imageLoader
        .loadAndCacheImage(next, {
          useRGBA: this.useRGBA,
          priority: 0,
          requestType: Enums.RequestType.Prefetch,
        } as never)
        // it is said when the user comes to the image
        .catch(() => this.failed.add(next))
        .finally(() => {
          this.underWay -= 1;
          this.onLoaded();
          this.fill();
        });
    }
  }
}
