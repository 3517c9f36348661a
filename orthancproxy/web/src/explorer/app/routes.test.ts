import { expect, test } from 'vitest';

import { auditPath, studyPath, viewerPath, worklistPath } from './routes';

test('parameters that are empty are left out', () => {
  expect(worklistPath({ search: '홍길동', label: '', days: undefined })).toBe('/?search=%ED%99%8D%EA%B8%B8%EB%8F%99');
  expect(worklistPath({ search: '' })).toBe('/');
  expect(viewerPath('a')).toBe('/studies/a/view');
});

test('values are escaped', () => {
  expect(studyPath('a/b?c')).toBe('/studies/a%2Fb%3Fc');
  expect(auditPath({ patient: 'A&B' })).toBe('/audit?patient=A%26B');
});

test('a viewer shows several series', () => {
  expect(viewerPath('a', ['b', 'c'])).toBe('/studies/a/view?series=b%2Cc');
});
