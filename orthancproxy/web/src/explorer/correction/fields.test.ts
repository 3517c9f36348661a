import { expect, test } from 'vitest';

import { changedValues, controlOf, dicomDate, FIELDS, isoDate } from './fields';

test.each([
  ['19700131', '1970-01-31'],
  ['20240229', '2024-02-29'],
  ['20230229', ''],
  ['19701301', ''],
  ['1970.01.31', ''],
  ['19700131-', ''],
  ['', ''],
])('the day %s is %s for the browser', (value, iso) => {
  expect(isoDate(value)).toBe(iso);
  if (iso) expect(dicomDate(iso)).toBe(value);
});

test.each([
  ['PatientBirthDate', '19700131', 'date'],
  ['PatientBirthDate', '', 'date'],
  ['PatientBirthDate', '1970.01.31', 'text'],
  ['PatientSex', 'F', 'sex'],
  ['PatientSex', '', 'sex'],
  ['PatientSex', 'female', 'text'],
  ['PatientName', '19700131', 'text'],
] as const)('%s with the value "%s" is edited as %s', (keyword, value, control) => {
  expect(controlOf(keyword, value)).toBe(control);
});

test('what is changed is sent, without padding; what is emptied, too', () => {
  const before = { PatientID: 'P1', PatientName: 'Hong^Gildong ', PatientSex: 'M', StudyDescription: 'Head' };
  const after = { ...before, PatientName: 'Hong^Gildong', PatientSex: '', StudyDescription: ' Neck ', StudyID: ' ' };
  expect(changedValues(before, after)).toEqual([
    { keyword: 'PatientSex', value: '' },
    { keyword: 'StudyDescription', value: 'Neck' },
  ]);
});

test('no field is offered twice', () => {
  for (const fields of Object.values(FIELDS)) expect(new Set(fields).size).toBe(fields.length);
});
