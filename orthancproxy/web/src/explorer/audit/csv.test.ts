import { describe, expect, it } from 'vitest';
import { toCsv } from './csv';

const cell = (text: string) => toCsv([[text]]).slice(1, -2);

describe('toCsv', () => {
  it('begins with a byte order mark, ends lines with CRLF, and leaves numbers and what is missing without quotes', () => {
    expect(
      toCsv([
        ['홍길동', 12.5, null],
        ['a', -1, 0],
      ]),
    ).toBe('\uFEFF"홍길동",12.5,\r\n"a",-1,0\r\n');
  });

  it('keeps separators, quotes and line ends within a cell', () => {
    expect(cell('one, "two"\nthree')).toBe('"one, ""two""\nthree"');
  });

  it.each(['=1+1', '+1', '-1', '@SUM(A1)', '＝1', '＋1', '－1', '＠A'])('neutralises %s', (formula) => {
    expect(cell(formula)).toBe(`"'${formula}"`);
  });

  it('neutralises a formula after blanks', () => {
    expect(cell(' \t=1')).toBe(`" \t'=1"`);
    expect(cell('\u00a0=1')).toBe(`"\u00a0'=1"`);
  });

  it('neutralises a formula where another separator would begin a cell', () => {
    expect(cell('x;=1')).toBe(`"x;'=1"`);
    expect(cell('x\r\n=1;\t@A')).toBe(`"x\r\n'=1;\t'@A"`);
  });

  it('leaves other text alone', () => {
    for (const text of ['2026-11-29T05:00:00Z', '1.2.840.10008', 'a=b', 'Doe^Jane', "'quoted", ''])
      expect(cell(text)).toBe(`"${text}"`);
  });
});
