import { expect, it } from 'vitest';
import { described } from './export';

it('describes what a correction made, and a criterion that is only named', () => {
  expect(
    described({ attributes: ['PatientID'], made: [{ from: '1.2', studyInstanceUID: '2.25.1', patientId: 'Q1' }] }),
  ).toBe('attributes: PatientID; made: (from: 1.2; studyInstanceUID: 2.25.1; patientId: Q1)');
  expect(described({ source: 'PACS', query: { PatientID: 'P1', PatientName: null } })).toBe(
    'source: PACS; query: (PatientID: P1; PatientName: )',
  );
});
