import { expect, test } from 'vitest';

import { criteriaOf, filterOf } from './criteria';

const filterIn = (query: string) => filterOf(criteriaOf(new URLSearchParams(query)));

test('a search without a criterion is none', () => {
  expect(filterIn('source=PACS&name=')).toBeUndefined();
});

test('names and descriptions get wildcards, unless they have some', () => {
  expect(filterIn('name=홍&description=Head')).toEqual({ patientName: '홍*', description: '*Head*' });
  expect(filterIn('name=*홍*&description=Hea?')).toEqual({ patientName: '*홍*', description: 'Hea?' });
});

test('identifiers are searched as they are, and days are a range with two ends or one', () => {
  expect(filterIn('patient=P1&accession=A1&modality=CT')).toEqual({
    patientId: 'P1',
    accessionNumber: 'A1',
    modality: 'CT',
  });
  expect(filterIn('from=2026-01-01')).toEqual({ studyDate: { from: '2026-01-01', to: undefined } });
});
