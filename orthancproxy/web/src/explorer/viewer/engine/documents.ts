/** What files hold that are no images. */

import { wadouri } from '@cornerstonejs/dicom-image-loader';

import { ImageError } from '../errors';
import { fetchFile } from './images';

const DOCUMENT = 'x00420011';
const PIXEL_DATA = 'x7fe00010';

/** Returns the PDF of a file (PS3.3 section C.24.2). */
export async function pdfOf(fileUrl: string): Promise<Blob> {
  const { bytes, dataSet } = await parsed(fileUrl);
  const element = dataSet.elements[DOCUMENT];
  if (!element) throw new ImageError('The file has no document.');
  return new Blob([bytes.slice(element.dataOffset, element.dataOffset + element.length)], { type: 'application/pdf' });
}

/** Returns the video of a file, which is in the fragments of its pixel data (PS3.5 section A.4.4). */
export async function videoOf(fileUrl: string): Promise<Blob> {
  const { bytes, dataSet } = await parsed(fileUrl);
  const fragments = dataSet.elements[PIXEL_DATA]?.fragments;
  if (!fragments) throw new ImageError('The file has no video.');
  return new Blob(
    fragments.map(({ position, length }) => bytes.slice(position, position + length)),
    { type: 'video/mp4' },
  );
}

async function parsed(fileUrl: string) {
  const bytes = await fetchFile(fileUrl);
  const dataSet = await wadouri.dataSetCacheManager.load(fileUrl, (async () => bytes) as never, `wadouri:${fileUrl}`);
  // the caller keeps what it needs
  wadouri.dataSetCacheManager.unload(fileUrl);
  return { bytes, dataSet };
}
