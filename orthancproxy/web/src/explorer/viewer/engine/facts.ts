/** What the file of an image says about it. */

import { cache } from '@cornerstonejs/core';
import { wadouri } from '@cornerstonejs/dicom-image-loader';

import { type FileWindow, fileWindows } from '../presets';

/** Attributes of the image that is shown. */
export interface ImageFacts {
  rows: number;
  columns: number;
  isColor: boolean;
  /** In memory. */
  bytes: number;
  windows: readonly FileWindow[];
  sliceThickness?: number;
  /** Milliseconds, of a loop. */
  frameTime?: number;
  isLossy: boolean;
}

export function dataSetOf(imageId: string) {
  const { url } = wadouri.parseImageId(imageId);
  return wadouri.dataSetCacheManager.get(url);
}

export function factsOf(imageId: string): ImageFacts {
  const image = cache.getImage(imageId);
  const dataSet = dataSetOf(imageId);
  const numbers = (tag: string) => dataSet?.string(tag)?.split('\\').map(Number);
  const rate = dataSet?.floatString('x00082144') ?? dataSet?.floatString('x00180040');
  return {
    rows: image?.rows ?? 0,
    columns: image?.columns ?? 0,
    isColor: Boolean(image?.color),
    bytes: image?.sizeInBytes ?? 0,
    windows: fileWindows(numbers('x00281050'), numbers('x00281051'), dataSet?.string('x00281055')?.split('\\')),
    sliceThickness: dataSet?.floatString('x00180050'),
    frameTime: dataSet?.floatString('x00181063') ?? (rate ? 1000 / rate : undefined),
    isLossy: dataSet?.string('x00282110') === '01',
  };
}
