import { expect, test } from 'vitest';

import { criteriaOf, filterOf } from './criteria';

const filterIn = (query: string) => filterOf(criteriaOf(new URLSearchParams(query)));

test('a search without a criterion is none', () => {
  expect(filterIn('source=PACS&name=')).toBeUndefined();
});

test('names and descriptions get wildcards, unless they have some', () => {
  expect(filterIn('name=Hong&description=Head')).toEqual({ patientName: 'Hong*', description: '*Head*' });
  expect(filterIn('name=*홍*&description=Hea?')).toEqual({ patientName: '*홍*', description: 'Hea?' });
});

test('names are found in the second and third group, and with a blank or comma between their parts', () => {
  expect(filterIn('name=홍')).toEqual({ patientName: '*홍*' });
  expect(filterIn('name=+山田 太郎 ')).toEqual({ patientName: '*山田*太郎*' });
  expect(filterIn('name=Hong, Gil')).toEqual({ patientName: 'Hong*Gil*' });
  expect(filterIn('name=+')).toBeUndefined();
});

test('modalities are in upper case, as DICOM writes them', () => {
  expect(filterIn('modality=+ct')).toEqual({ modality: 'CT' });
});

test('identifiers are searched as they are, and days are a range with two ends or one', () => {
  expect(filterIn('patient=P1&accession=A1&modality=CT')).toEqual({
    patientId: 'P1',
    accessionNumber: 'A1',
    modality: 'CT',
  });
  expect(filterIn('from=2026-01-01')).toEqual({ studyDate: { from: '2026-01-01', to: undefined } });
});
