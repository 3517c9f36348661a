import { expect, it } from 'vitest';

import { ageAt } from './age';

it('counts whole years', () => {
  expect(ageAt('1980-05-02', '2026-05-01')).toBe(45);
  expect(ageAt('1980-05-02', '2026-05-02')).toBe(46);
  expect(ageAt('2026-05-02', '2026-05-02')).toBe(0);
});

it('is unknown without both dates in order', () => {
  expect(ageAt(null, '2026-05-02')).toBeUndefined();
  expect(ageAt('1980-05-02', undefined)).toBeUndefined();
  expect(ageAt('2026-05-02', '1980-05-02')).toBeUndefined();
});
