import { describe, expect, it } from 'vitest';
import { filled, panesOf, withPanes } from './layout';

const SERIES = [
  { orthancId: 'topogram', modality: 'CT', instancesCount: 1 },
  { orthancId: 'report', modality: 'SR', instancesCount: 3 },
  { orthancId: 'chest', modality: 'CT', instancesCount: 60 },
  { orthancId: 'lung', modality: 'CT', instancesCount: 60 },
];

describe('panesOf', () => {
  it('begins with the first series of several images', () => expect(panesOf(null, SERIES)).toEqual(['chest']));
  it('begins with what there is', () => {
    expect(panesOf('', SERIES.slice(0, 2))).toEqual(['topogram']);
    expect(panesOf('', SERIES.slice(1, 2))).toEqual(['report']);
    expect(panesOf('', [])).toEqual(['']);
  });
  it('follows the URL, with the panes that it leaves empty', () => {
    expect(panesOf('lung,', SERIES)).toEqual(['lung', '']);
    expect(panesOf('lung,chest,topogram', SERIES)).toEqual(['lung', 'chest', 'topogram', '']);
  });
  it('ignores series of other studies', () => {
    expect(panesOf('other', SERIES)).toEqual(['chest']);
    expect(panesOf('other,lung', SERIES)).toEqual(['', 'lung']);
  });
  it('has four panes at most', () => expect(panesOf('lung,lung,lung,lung,lung', SERIES)).toHaveLength(4));
});

describe('a change of the layout', () => {
  it('keeps the first panes', () => {
    expect(withPanes(['chest', 'lung'], 1)).toEqual(['chest']);
    expect(withPanes(['chest'], 2)).toEqual(['chest', '']);
  });
  it('fills the others with further series that have images', () => {
    expect(filled(['chest', '', '', ''], SERIES)).toEqual(['chest', 'topogram', 'lung', '']);
  });
});
