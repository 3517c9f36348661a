import { describe, expect, it } from 'vitest';
import { type Positioned, slicesOf, type Vector } from './slices';
import { AXES, middleOf, rangeOf, type VolumeShape, volumeOf, voxelTypeOf } from './volume';

const AXIAL = [1, 0, 0, 0, 1, 0];
const SAGITTAL = [0, 1, 0, 0, 0, -1];
// rows to the left, columns to the back and down
const OBLIQUE = [1, 0, 0, 0, 0.8, -0.6];

function files(positions: (readonly number[] | null)[], more: Partial<Positioned> = {}): Positioned[] {
  return positions.map((imagePositionPatient, index) => ({
    fileUrl: `/${index}`,
    instanceNumber: index + 1,
    imagePositionPatient,
    imageOrientationPatient: AXIAL,
    ...more,
  }));
}

const found = (instances: Positioned[]) => volumeOf(slicesOf(instances));
const along = (vector: Vector, depths: number[]) => depths.map((depth) => vector.map((part) => part * depth));

describe('volumeOf', () => {
  it('is ordered along the normal, from the feet up', () => {
    const volume = found(files(along([0, 0, 1], [7.5, 5, 2.5, 0]))) as VolumeShape;
    expect(volume).toMatchObject({ spacing: 2.5, origin: [0, 0, 0], normal: [0, 0, 1] });
    expect(volume.slices.map(({ position }) => position?.[2])).toEqual([0, 2.5, 5, 7.5]);
  });
  it('may be oblique', () => {
    const volume = found(files(along([0, 0.6, 0.8], [0, 3, 6]), { imageOrientationPatient: OBLIQUE })) as VolumeShape;
    expect(volume.spacing).toBeCloseTo(3);
    expect(volume.normal[1]).toBeCloseTo(0.6);
  });
  it('accepts positions that are rounded', () => {
    expect(found(files(along([0, 0, 1], [0, 0.6, 1.3, 1.9, 2.5])))).toMatchObject({ spacing: 0.625 });
  });
  it('has no gap', () => {
    const depths = Array.from({ length: 100 }, (_, index) => index);
    expect(typeof found(files(along([0, 0, 1], depths)))).toBe('object');
    for (const missing of [1, 50, 98]) {
      expect(found(files(along([0, 0, 1], depths).filter((_, index) => index !== missing)))).toBe('spacing');
    }
  });
  it('has one slice in each place', () => {
    expect(found(files(along([0, 0, 1], [0, 1, 1, 2])))).toBe('spacing');
    expect(found(files(along([0, 0, 1], [1, 1, 1])))).toBe('spacing');
  });
  it('is not tilted', () => {
    expect(found(files(along([0, Math.sin(0.1), Math.cos(0.1)], [0, 5, 10])))).toBe('tilted');
  });
  it('has slices in one direction', () => {
    const [a, b, c] = files(along([0, 0, 1], [0, 1, 2])) as [Positioned, Positioned, Positioned];
    expect(found([a, b, { ...c, imageOrientationPatient: SAGITTAL }])).toBe('directions');
    // turned in their own plane
    expect(found([a, b, { ...c, imageOrientationPatient: [0, 1, 0, -1, 0, 0] }])).toBe('directions');
  });
  it('needs positions, several slices, and a file for each', () => {
    expect(found(files([[0, 0, 0], null, [0, 0, 2]]))).toBe('unplaced');
    expect(found(files(along([0, 0, 1], [0, 1, 2]), { imageOrientationPatient: null }))).toBe('unplaced');
    expect(found(files([[0, 0, 0]]))).toBe('few');
    expect(found([])).toBe('few');
    expect(found(files([[0, 0, 0]], { numberOfFrames: 20 }))).toBe('frames');
  });
});

describe('planes', () => {
  const axial = found(files(along([0, 0, 1], [10, 15, 20]))) as VolumeShape;
  const oblique = found(files(along([0, 0.6, 0.8], [0, 3, 6]), { imageOrientationPatient: OBLIQUE })) as VolumeShape;
  it('go from the first voxel to the last', () => {
    expect(rangeOf(axial, [4, 6, 3], [2, 1, 5], AXES.axial)).toEqual({ min: -20, step: 5, total: 3 });
    expect(rangeOf(axial, [4, 6, 3], [2, 1, 5], AXES.sagittal)).toEqual({ min: 0, step: 2, total: 4 });
    expect(rangeOf(axial, [4, 6, 3], [2, 1, 5], AXES.coronal)).toEqual({ min: 0, step: 1, total: 6 });
  });
  it('reach the corners of an oblique volume', () => {
    const { min, step, total } = rangeOf(oblique, [5, 5, 3], [1, 1, 3], AXES.axial);
    expect(min).toBeCloseTo(-4.8);
    expect(min + step * (total - 1)).toBeCloseTo(2.4, 0);
  });
  it('begin in the middle, or at a slice', () => {
    expect(middleOf(axial, [4, 6, 3], [2, 1, 5], null)).toEqual([3, 2.5, 15]);
    expect(middleOf(axial, [4, 6, 3], [2, 1, 5], [0, 0, 20])).toEqual([3, 2.5, 20]);
  });
});

describe('voxelTypeOf', () => {
  it('holds the values of each image', () => {
    expect(voxelTypeOf(0, 255, true)).toBe('Uint8Array');
    expect(voxelTypeOf(0, 4095, true)).toBe('Int16Array');
    expect(voxelTypeOf(-1024, 3071, true)).toBe('Int16Array');
    expect(voxelTypeOf(0, 60_000, true)).toBe('Uint16Array');
    expect(voxelTypeOf(-1, 60_000, true)).toBe('Float32Array');
    expect(voxelTypeOf(0, 1.5, false)).toBe('Float32Array');
  });
});
