import { describe, expect, it } from 'vitest';
import { inOrder, matchingIndex, neighbours, type Positioned, slicesOf } from './slices';

const AXIAL = [1, 0, 0, 0, 1, 0];
const SAGITTAL = [0, 1, 0, 0, 0, -1];

function slice(instanceNumber: number | null, z: number, more: Partial<Positioned> = {}): Positioned {
  return {
    fileUrl: `/${z}`,
    instanceNumber,
    imagePositionPatient: [0, 0, z],
    imageOrientationPatient: AXIAL,
    ...more,
  };
}

const places = (instances: Positioned[]) => inOrder(instances).map((one) => one.imagePositionPatient?.[2]);

describe('inOrder', () => {
  it('follows the positions, not the numbers', () => {
    expect(places([slice(1, 0), slice(3, 10), slice(2, 20)])).toEqual([0, 10, 20]);
  });
  it('begins at the end that has the lower number', () => {
    expect(places([slice(1, 30), slice(2, 20), slice(3, 10)])).toEqual([30, 20, 10]);
  });
  it('follows the numbers where slices coincide', () => {
    expect(places([slice(2, 0), slice(1, 10), slice(3, 10)])).toEqual([10, 0, 10]);
  });
  it('follows the numbers where planes intersect or have no position', () => {
    expect(places([slice(2, 0), slice(1, 10, { imageOrientationPatient: SAGITTAL })])).toEqual([10, 0]);
    expect(places([slice(2, 0), slice(1, 10, { imageOrientationPatient: null })])).toEqual([10, 0]);
  });
  it('puts instances without a number last', () => {
    const unplaced = { imagePositionPatient: null };
    const ordered = inOrder([slice(null, 1, unplaced), slice(2, 2, unplaced)]);
    expect(ordered.map((one) => one.fileUrl)).toEqual(['/2', '/1']);
  });
  it('accepts none', () => expect(inOrder([])).toEqual([]));
});

describe('slicesOf', () => {
  it('has a slice for each frame', () => {
    expect(slicesOf([slice(1, 0, { fileUrl: '/a', numberOfFrames: 2 })]).map((one) => one.imageId)).toEqual([
      'wadouri:/a?frame=1',
      'wadouri:/a?frame=2',
    ]);
  });
  it('keeps the query of a URL', () => {
    const [first] = slicesOf([slice(1, 0, { fileUrl: '/a?v=1', numberOfFrames: 2 })]);
    expect(first?.imageId).toBe('wadouri:/a?v=1&frame=1');
  });
  it('names no frame of an instance of one', () => {
    expect(slicesOf([slice(1, 0, { fileUrl: '/a', numberOfFrames: 1 })])[0]?.imageId).toBe('wadouri:/a');
  });
});

describe('matchingIndex', () => {
  const thin = slicesOf([0, 1, 2, 3, 4, 5].map((z) => slice(z, z)));
  const thick = slicesOf([0, 2.4, 5].map((z) => slice(z, z)));
  it('is the nearest slice', () => {
    expect(matchingIndex(thin, 3, thick)).toBe(1);
    expect(matchingIndex(thick, 2, thin)).toBe(5);
  });
  it('is none where planes intersect', () => {
    const sagittal = slicesOf([slice(1, 0, { imageOrientationPatient: SAGITTAL })]);
    expect(matchingIndex(thin, 3, sagittal)).toBeNull();
  });
  it('is as far into the series where nothing is placed', () => {
    const frames = slicesOf([slice(1, 0, { numberOfFrames: 11 })]);
    expect(matchingIndex(thin, 5, frames)).toBe(10);
    expect(matchingIndex(frames, 5, frames)).toBe(5);
  });
});

describe('neighbours', () => {
  it('are the nearest first, within the series', () => {
    expect(neighbours(1, 5, 10)).toEqual([2, 0, 3, 4]);
    expect(neighbours(5, 100, 4)).toEqual([6, 4, 7, 3]);
    expect(neighbours(0, 1, 4)).toEqual([]);
  });
});
