import { expect, test } from 'vitest';

import { isLabel, suggestions } from './label';

test.each(['urgent', 'A_b-9', '-', '0', 'a'.repeat(64)])('%s is a label', (text) => {
  expect(isLabel(text)).toBe(true);
});

test.each(['', ' ', 'a b', 'a\n', 'a/b', '..', 'a*', '긴급', 'ward-٧', 'a'.repeat(65)])('%j is none', (text) => {
  expect(isLabel(text)).toBe(false);
});

test('what a resource has is not suggested', () => {
  expect(suggestions(['a', 'A', 'b'], ['a'])).toEqual(['A', 'b']);
});
