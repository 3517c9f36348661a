import { expect, test } from 'vitest';

import type { Content } from './contents';
import { selected } from './exampleFiles';
import type { Header } from './headers';
import { otherPatients, summarize } from './summary';

const HEADER: Header = {
  patientId: 'P1',
  patientName: 'Kim^Minsu',
  birthDate: '19700101',
  studyDescription: 'Brain',
  seriesDescription: '',
  modality: 'MR',
};

function dicom(values: Partial<Header> = {}): Content {
  return { kind: 'dicom', header: { ...HEADER, ...values } };
}

test('a folder is a series for each modality in it', () => {
  const files = ['1', '2', '3', '4'].map((name, at) => selected(name, at < 3 ? 'T1' : 'T2'));
  const contents = [dicom(), dicom({ modality: 'PR' }), dicom({ seriesDescription: 'axial' }), dicom()];
  expect(summarize(files, contents).series).toEqual([
    { folder: 'T1', modality: 'MR', description: 'axial', files: 2, bytes: 2 },
    { folder: 'T1', modality: 'PR', description: '', files: 1, bytes: 1 },
    { folder: 'T2', modality: 'MR', description: '', files: 1, bytes: 1 },
  ]);
});

test('a ZIP counts as the files in it, whose folders are in its own', () => {
  const zipped = { folder: 'S1', name: 'IM1', bytes: 1_000, header: HEADER };
  const content: Content = { kind: 'zip', files: [zipped, { ...zipped, folder: '', name: 'readme', header: null }] };
  expect(summarize([selected('cd.zip', 'CD')], [content])).toMatchObject({
    series: [{ folder: 'CD/S1', files: 1, bytes: 1_000 }],
    files: 1,
    suspects: ['readme'],
  });
});

test('the patient of most files comes first, and the description counts if all have it', () => {
  const files = ['1', '2', '3', '4'].map((name) => selected(name));
  const other = dicom({ patientId: 'P2', studyDescription: 'Knee' });
  const summary = summarize(files, [other, dicom(), dicom({ patientName: 'KIM^MINSU^' }), { kind: 'other' }]);
  expect(summary.patients.map(({ patientId, files }) => [patientId, files])).toEqual([
    ['P1', 2],
    ['P2', 1],
  ]);
  expect(summary.studyDescription).toBe('');
  expect(summary.suspects).toEqual(['4']);
  expect(summarize(files, [dicom(), dicom()]).studyDescription).toBe('Brain');
});

test.each([
  ['the only patient of the files', ['P1'], 'P1', 'kim^minsu', 0],
  ['another patient', ['P1'], 'P2', 'Kim^Minsu', 1],
  ['another name', ['P1'], 'P1', 'Lee', 1],
  ['one of several patients', ['P1', 'P2'], 'P1', 'Kim^Minsu', 2],
  ['files without a patient', [], 'P1', '', 0],
  ['no patient yet', ['P1'], '', '', 0],
])('there are patients to warn of for %s', (_, ids, patientId, patientName, count) => {
  const patients = ids.map((patientId) => ({ ...HEADER, patientId, files: 1 }));
  expect(otherPatients(patients, patientId, patientName)).toHaveLength(count);
});
