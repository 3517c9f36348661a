import { expect, test } from 'vitest';

import { dicom, type Element, latin1 } from './exampleFiles';
import { readHeader } from './headers';

const KOREAN = Uint8Array.from([...latin1('Hong^Gildong='), 0xfb, 0xf3, ...latin1('^'), 0xd1, 0xce, 0xd4, 0xd7]);
const JAPANESE = latin1('Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B');

function patient(characterSet: string, name: string | Uint8Array): Element[] {
  return [
    [0x00080005, 'CS', characterSet],
    [0x00080060, 'CS', 'CT'],
    [0x00081030, 'LO', 'Brain '],
    [0x0008103e, 'LO', 'T1'],
    [0x00100010, 'PN', name],
    [0x00100020, 'LO', 'P1'],
    [0x00100030, 'DA', '19700101'],
    [0x00280010, 'US', '\x08\x00'],
  ];
}

test.each([
  ['explicit', false],
  ['implicit', true],
])('a header with %s value representations is read', (_, isImplicit) => {
  expect(readHeader(dicom(patient('ISO_IR 100', 'Kim^Minsu '), { isImplicit }))).toEqual({
    patientId: 'P1',
    patientName: 'Kim^Minsu',
    birthDate: '19700101',
    studyDescription: 'Brain',
    seriesDescription: 'T1',
    modality: 'CT',
  });
});

test.each([
  ['\\ISO 2022 IR 149', KOREAN, 'Hong^Gildong=洪^吉洞'],
  ['ISO 2022 IR 6\\ISO 2022 IR 87', JAPANESE, 'Yamada^Tarou=山田^太郎'],
  ['ISO_IR 192', new TextEncoder().encode('홍^길동 '), '홍^길동'],
  // as devices store it that know no character set
  ['ISO_IR 100', new TextEncoder().encode('홍^길동 '), '홍^길동'],
  ['ISO_IR 100', latin1('M\xfcller^A'), 'Müller^A'],
])('a name in the character set %s is decoded', (characterSet, bytes, name) => {
  const padded = bytes.length % 2 ? Uint8Array.from([...bytes, 0x20]) : bytes;
  expect(readHeader(dicom(patient(characterSet, padded)))?.patientName).toBe(name);
});

test.each([
  ['explicit', false],
  ['implicit', true],
])('what is in a sequence is not of the patient (%s)', (_, isImplicit) => {
  const nested = dicom([[0x00100010, 'PN', 'Other^Name']], { isImplicit }).subarray(132);
  const item = [0xfe, 0xff, 0x00, 0xe0, 0xff, 0xff, 0xff, 0xff, ...nested, 0xfe, 0xff, 0x0d, 0xe0, 0, 0, 0, 0];
  const ended = [...item, 0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0];
  const ofUndefinedLength = dicom([[0x00081140, 'SQ', 'x']], { isImplicit }).subarray(132, -1);
  const head = [
    ...dicom([]),
    ...ofUndefinedLength,
    ...ended,
    ...dicom(patient('', 'Kim '), { isImplicit }).subarray(132),
  ];
  expect(readHeader(Uint8Array.from(head))?.patientName).toBe('Kim');
});

test('a header that ends early is read as far as it goes', () => {
  const whole = dicom(patient('ISO_IR 100', 'Kim^Minsu '));
  for (let bytes = 132; bytes < whole.length; bytes++) {
    expect(['', 'P1']).toContain(readHeader(whole.subarray(0, bytes))?.patientId);
  }
});

test('what is not DICOM has no header', () => {
  expect(readHeader(latin1('hello'))).toBeNull();
  expect(readHeader(new Uint8Array(200))).toBeNull();
});
