import { expect, test } from 'vitest';

import { contentOf } from './contents';
import { dicom, latin1, zip } from './exampleFiles';

const PIXELS = new Uint8Array(100_000).map((_, at) => (at * 7919) % 251);
const IMAGE = new Uint8Array([
  ...dicom([[0x00100020, 'LO', 'P1']]),
  ...dicom([[0x7fe00010, 'OW', PIXELS]]).subarray(132),
]);

test('a file is DICOM by its content', async () => {
  expect(await contentOf(new Blob([IMAGE]))).toMatchObject({ kind: 'dicom', header: { patientId: 'P1' } });
  expect(await contentOf(new Blob(['hello']))).toEqual({ kind: 'other' });
});

test.each([
  ['compressed files', true, false],
  ['uncompressed files', false, false],
  ['ZIP64 fields', true, true],
])('the files of a ZIP with %s are looked at', async (_, isCompressed, isZip64) => {
  const files = [
    { path: 'CD/S1/IM1', content: IMAGE, isCompressed },
    { path: 'CD\\S2\\IM1', content: IMAGE, isCompressed },
    { path: '__MACOSX/CD/._IM1', content: latin1('x'), isCompressed },
    { path: 'CD/empty/', content: latin1(''), isCompressed: false },
    { path: 'readme.txt', content: latin1('hello'), isCompressed },
  ];
  expect(await contentOf(new Blob([zip(files, { isZip64 })]))).toMatchObject({
    kind: 'zip',
    files: [
      { folder: 'CD/S1', name: 'IM1', bytes: IMAGE.length, header: { patientId: 'P1' } },
      { folder: 'CD/S2', name: 'IM1', header: { patientId: 'P1' } },
      { folder: '', name: 'readme.txt', header: null },
    ],
  });
});

test('names without UTF-8 are readable', async () => {
  const path = latin1('caf\xe9');
  expect(await contentOf(new Blob([zip([{ path, content: IMAGE }])]))).toMatchObject({ files: [{ name: 'café' }] });
});

test('a damaged ZIP is something else', async () => {
  const bytes = zip([{ path: 'IM1', content: IMAGE }]);
  expect(await contentOf(new Blob([bytes.subarray(0, -30)]))).toEqual({ kind: 'other' });
});
