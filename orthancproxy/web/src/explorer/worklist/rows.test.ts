import { expect, test } from 'vitest';

import { appendPage, mergeChanges, type Row, type Rows } from './rows';
import type { Sort } from './state';

const NEWEST: Sort = { field: 'STUDY_DATE', descending: true };

function row(id: string, studyDate: string | null = null, description = ''): Row {
  return { id, studyInstanceUID: id, studyDate, description, patient: {} } as Row;
}

function rowsOf(rows: Row[], hasNextPage = false): Rows {
  return { rows, endCursor: rows.at(-1)?.id ?? null, hasNextPage };
}

const ids = (list: Rows) => list.rows.map(({ id }) => id).join('');
const LIST = rowsOf([row('c', '2026-03-03'), row('b', '2026-02-02'), row('a', '2026-01-01')]);

test('a page repeats no row', () => {
  const page = rowsOf([row('a'), row('z')], true);
  expect(ids(appendPage(LIST, page))).toBe('cbaz');
  expect(appendPage(LIST, page).endCursor).toBe('z');
});

test('what arrives stands where the gateway would list it', () => {
  const arrived = [row('y', '2026-02-15'), row('x', '2026-05-05'), row('z')];
  expect(ids(mergeChanges(LIST, new Set('xyz'), arrived, NEWEST))).toBe('xcybaz');
});

test('what would stand after the last row comes with a later page', () => {
  const list = { ...LIST, hasNextPage: true };
  expect(ids(mergeChanges(list, new Set('z'), [row('z', '2025-01-01')], NEWEST))).toBe('cba');
});

test('what does not match any more leaves', () => {
  expect(ids(mergeChanges(LIST, new Set('b'), [], NEWEST))).toBe('ca');
});

test('what changes is shown as it is now, and moves if the order asks for it', () => {
  const described = row('b', '2026-02-02', 'Head');
  expect(mergeChanges(LIST, new Set('b'), [described], NEWEST).rows[1]).toBe(described);
  expect(ids(mergeChanges(LIST, new Set('a'), [row('a', '2026-09-09')], NEWEST))).toBe('acb');
});

test('equal studies are in the order of their UIDs, in either direction', () => {
  const same = rowsOf([row('a', '2026-01-01'), row('c', '2026-01-01')]);
  for (const descending of [true, false])
    expect(ids(mergeChanges(same, new Set('b'), [row('b', '2026-01-01')], { ...NEWEST, descending }))).toBe('abc');
});
