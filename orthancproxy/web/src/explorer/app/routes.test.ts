import { expect, test } from 'vitest';

import { auditPath, studyPath, worklistPath } from './routes';

test('parameters that are empty are left out', () => {
  expect(worklistPath({ search: '홍길동', label: '', days: undefined })).toBe('/?search=%ED%99%8D%EA%B8%B8%EB%8F%99');
  expect(worklistPath({ search: '' })).toBe('/');
});

test('values are escaped', () => {
  expect(studyPath('a/b?c')).toBe('/studies/a%2Fb%3Fc');
  expect(auditPath({ patient: 'A&B' })).toBe('/audit?patient=A%26B');
});
