import { describe, expect, it } from 'vitest';

import { attributeRows, type DicomJson, visibleRows } from './attributes';
import { keywordIn, parseDictionary } from './dictionary';

const DATASET: DicomJson = {
  '00100010': { vr: 'PN', Value: [{ Alphabetic: 'Hong^Gildong', Phonetic: '홍^길동' }] },
  '00081140': {
    vr: 'SQ',
    Value: [{ '00081155': { vr: 'UI', Value: ['1.2.3'] } }, { '00081155': { vr: 'UI', Value: ['1.2.4'] } }],
  },
  '00080008': { vr: 'CS', Value: ['DERIVED', null, 'AXIAL'] },
  '7FE00010': { vr: 'OW', BulkDataURI: 'https://gateway/bulk' },
  '00091001': { vr: 'LO' },
};
const KEYWORDS: Record<string, string> = {
  '00081140': 'ReferencedImageSequence',
  '00081155': 'ReferencedSOPInstanceUID',
};
const rows = attributeRows(DATASET, (tag) => KEYWORDS[tag] ?? '');

describe('rows of the tag browser', () => {
  it('are ordered by tag, items and what they contain below their sequence', () => {
    expect(rows.map(({ depth, tag, itemNumber, value }) => [depth, tag || itemNumber, value])).toEqual([
      [0, '0008,0008', 'DERIVED\\\\AXIAL'],
      [0, '0008,1140', ''],
      [1, 1, ''],
      [2, '0008,1155', '1.2.3'],
      [1, 2, ''],
      [2, '0008,1155', '1.2.4'],
      [0, '0009,1001', ''],
      [0, '0010,0010', 'Hong^Gildong==홍^길동'],
      [0, '7fe0,0010', ''],
    ]);
    expect(rows.find(({ tag }) => tag === '7fe0,0010')?.isBinary).toBe(true);
    expect(new Set(rows.map(({ path }) => path)).size).toBe(rows.length);
  });

  it('are hidden below what is closed', () => {
    const shown = visibleRows(rows, '', new Set(['/00081140']));
    expect(shown.map(({ path }) => path)).not.toContain('/00081140/1');
    expect(shown).toHaveLength(5);
  });

  it('match a search with what is above them, also if that is closed', () => {
    const shown = visibleRows(rows, 'referencedsop 1.2.4', new Set(['/00081140']));
    expect(shown.map(({ path }) => path)).toEqual(['/00081140', '/00081140/2', '/00081140/2/00081155']);
    expect(visibleRows(rows, '홍^길동', new Set())).toHaveLength(1);
    expect(visibleRows(rows, '(0010,0010)'.slice(1, -1), new Set())).toHaveLength(1);
    expect(visibleRows(rows, 'nothing', new Set())).toEqual([]);
  });
});

describe('the dictionary', () => {
  const dictionary = parseDictionary('00080005 SpecificCharacterSet\n60xx3000 OverlayData\n');

  it('knows tags, and those that repeat', () => {
    expect(keywordIn(dictionary, '00080005')).toBe('SpecificCharacterSet');
    expect(keywordIn(dictionary, '60023000')).toBe('OverlayData');
    expect(keywordIn(dictionary, '00091001')).toBe('');
  });
});
