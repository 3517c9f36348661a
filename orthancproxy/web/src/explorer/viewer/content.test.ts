import { expect, it } from 'vitest';
import { contentOf } from './content';

const CLASSES = '1.2.840.10008.5.1.4.1.1.';
const SYNTAXES = '1.2.840.10008.1.2.';

it.each([
  ['image', `${CLASSES}2`, `${SYNTAXES}1`], // CT
  ['image', `${CLASSES}481.2`, `${SYNTAXES}1`], // RT dose
  ['image', null, null],
  ['image', `${CLASSES}6.1`, `${SYNTAXES}4.91`],
  ['pdf', `${CLASSES}104.1`, `${SYNTAXES}1`],
  ['report', `${CLASSES}88.33`, `${SYNTAXES}1`],
  ['other', `${CLASSES}88.59`, `${SYNTAXES}1`], // key object selection
  ['other', `${CLASSES}481.5`, `${SYNTAXES}1`], // RT plan
  ['other', `${CLASSES}9.1.1`, `${SYNTAXES}1`], // ECG
  ['other', `${CLASSES}66.4`, `${SYNTAXES}1`], // segmentation
  ['video', `${CLASSES}77.1.1.1`, `${SYNTAXES}4.102`],
  ['other', `${CLASSES}77.1.1.1`, `${SYNTAXES}4.100`],
] as const)('is %s for %s in %s', (content, sopClass, syntax) => {
  expect(contentOf(sopClass, syntax)).toBe(content);
});
