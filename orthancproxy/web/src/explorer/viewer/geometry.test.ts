import { describe, expect, it } from 'vitest';
import { edgesOf, edgesOfProjection, letters, opposite, scaleLength } from './geometry';

describe('edges', () => {
  it('of an axial slice: the left of the patient is on the right', () => {
    expect(edgesOf({ up: [0, -1, 0], right: [1, 0, 0] })).toEqual({ top: 'A', right: 'L', bottom: 'P', left: 'R' });
  });
  it('turn with the view, and change places in a mirror', () => {
    expect(edgesOf({ up: [1, 0, 0], right: [0, 1, 0] })).toEqual({ top: 'L', right: 'P', bottom: 'R', left: 'A' });
    expect(edgesOf({ up: [0, -1, 0], right: [-1, 0, 0] })).toEqual({ top: 'A', right: 'R', bottom: 'P', left: 'L' });
  });
  it('of a coronal slice', () => {
    expect(edgesOf({ up: [0, 0, 1], right: [1, 0, 0] })).toEqual({ top: 'H', right: 'L', bottom: 'F', left: 'R' });
  });
  it('of a radiograph', () => {
    const upright = { up: [0, -1, 0], right: [1, 0, 0] } as const;
    expect(edgesOfProjection(upright, 'L\\F')).toEqual({ top: 'H', right: 'L', bottom: 'F', left: 'R' });
    expect(edgesOfProjection({ up: [1, 0, 0], right: [0, 1, 0] }, 'L\\F')?.top).toBe('L');
    expect(edgesOfProjection(upright, null)).toBeNull();
    expect(edgesOfProjection(upright, 'L')).toBeNull();
  });
});

describe('letters', () => {
  it('name an oblique direction by its strongest parts', () => {
    expect(letters([0.8, -0.6, 0])).toBe('LA');
    expect(letters([0.99, 0.1, 0])).toBe('L');
    expect(opposite('LA')).toBe('RP');
  });
});

describe('scaleLength', () => {
  it('is round and fits', () => {
    expect(scaleLength(0.5, 150)).toBe(50);
    expect(scaleLength(0.5, 450)).toBe(200);
    expect(scaleLength(0.05, 30)).toBe(1);
    expect(scaleLength(1, 100)).toBe(100);
  });
  it('is none where the size of a pixel is unknown', () => {
    expect(scaleLength(Number.NaN, 100)).toBeNull();
    expect(scaleLength(0, 100)).toBeNull();
  });
});
