import { describe, expect, it } from 'vitest';
import { fileWindows, presetsOf } from './presets';

describe('presetsOf', () => {
  it('has the windows of CT only', () => {
    expect(presetsOf('CT').find(({ name }) => name === 'lung')).toMatchObject({ width: 1500, center: -600 });
    expect(presetsOf('MR')).toEqual([]);
    expect(presetsOf(null)).toEqual([]);
  });
});

describe('fileWindows', () => {
  it('pairs centres, widths and explanations', () => {
    expect(fileWindows([40, -600], [400, 1500], ['ABDOMEN', ' '])).toEqual([
      { center: 40, width: 400, explanation: 'ABDOMEN' },
      { center: -600, width: 1500, explanation: null },
    ]);
  });
  it('accepts single values', () => {
    expect(fileWindows(40, 400)).toEqual([{ center: 40, width: 400, explanation: null }]);
  });
  it('leaves out what is no window', () => {
    expect(fileWindows([40, Number.NaN, 1], [0, 10])).toEqual([]);
    expect(fileWindows(null, undefined)).toEqual([]);
  });
});
