import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import type { WorklistChangeFragment } from '../graphql/generated/graphql';
import type { Row } from './rows';
import { type Source, TIMES, Worklist } from './worklist';

const SORT = { field: 'STUDY_DATE', descending: true } as const;

function row(id: string, studyDate: string): Row {
  return { id, orthancId: id, studyInstanceUID: id, studyDate, patient: { orthancId: `patient-${id}` } } as Row;
}

/** An archive of which the tests say what it holds and what happens. */
class FakeSource implements Source {
  rows = [row('b', '2026-02-02'), row('a', '2026-01-01')];
  reads = 0;
  followed: (string | null)[] = [];
  end: (error: unknown) => void = () => undefined;
  private next: (change: WorklistChangeFragment) => void = () => undefined;

  async firstPage() {
    this.reads += 1;
    return { rows: this.rows, endCursor: null, hasNextPage: false, total: this.rows.length };
  }
  async nextPage() {
    return { rows: [], endCursor: null, hasNextPage: false };
  }
  async changed(uids: string[]) {
    return { found: this.rows.filter(({ id }) => uids.includes(id)), total: this.rows.length };
  }
  follow(after: string | null, next: (change: WorklistChangeFragment) => void, end: (error: unknown) => void) {
    this.followed.push(after);
    this.next = next;
    this.end = end;
    return () => undefined;
  }
  happen(kind: WorklistChangeFragment['kind'], id: string, cursor = '1', level: 'STUDY' | 'PATIENT' = 'STUDY') {
    this.next({ kind, level, cursor, orthancId: id, globalId: id, studyInstanceUID: level === 'STUDY' ? id : null });
  }
}

let source: FakeSource;
let worklist: Worklist;
const ids = () => worklist.getSnapshot().list?.rows.map(({ id }) => id);
const marks = () => Object.fromEntries(worklist.getSnapshot().marks);

beforeEach(async () => {
  vi.useFakeTimers();
  source = new FakeSource();
  worklist = new Worklist(source, SORT);
  worklist.open();
  await vi.advanceTimersByTimeAsync(0);
});
afterEach(() => vi.useRealTimers());

test('a study that arrives is marked for some seconds', async () => {
  source.rows = [row('c', '2026-03-03'), ...source.rows];
  source.happen('ADDED', 'c');
  source.happen('UPDATED', 'c');
  await vi.advanceTimersByTimeAsync(TIMES.gather);
  expect(ids()).toEqual(['c', 'b', 'a']);
  expect(worklist.getSnapshot().list?.total).toBe(3);
  expect(marks()).toEqual({ c: 'arrived' });
  await vi.advanceTimersByTimeAsync(TIMES.mark);
  expect(marks()).toEqual({});
});

test.each([
  ['STUDY', 'b'],
  ['PATIENT', 'patient-b'],
] as const)('a deleted %s leaves after it was marked', async (level, id) => {
  source.rows = source.rows.slice(1);
  source.happen('DELETED', id, '1', level);
  await vi.advanceTimersByTimeAsync(TIMES.gather);
  expect(marks()).toEqual({ b: 'gone' });
  expect(worklist.getSnapshot().list?.total).toBe(1);
  await vi.advanceTimersByTimeAsync(TIMES.gone);
  expect(ids()).toEqual(['a']);
  expect(marks()).toEqual({});
});

test.each(['first', 'again'])('what arrives while the list is read %s is not lost', async (when) => {
  if (when === 'first') worklist = new Worklist(source, SORT);
  let answer: () => void = () => undefined;
  const before = { rows: source.rows, endCursor: null, hasNextPage: false, total: 2 };
  vi.spyOn(source, 'firstPage').mockReturnValueOnce(new Promise((resolve) => (answer = () => resolve(before))));
  if (when === 'first') worklist.open();
  else worklist.refresh();
  source.rows = [row('c', '2026-03-03'), ...source.rows];
  source.happen('ADDED', 'c');
  await vi.advanceTimersByTimeAsync(2 * TIMES.gather);
  answer();
  await vi.advanceTimersByTimeAsync(TIMES.gather);
  expect(ids()).toEqual(['c', 'b', 'a']);
  expect(marks()).toEqual({ c: 'arrived' });
});

test('what is read when the list is left is not shown on the way back', async () => {
  source.happen('STABLE', 'b', '7');
  await vi.advanceTimersByTimeAsync(TIMES.gather);
  let answer: () => void = () => undefined;
  const before = { rows: source.rows, endCursor: null, hasNextPage: false, total: 2 };
  vi.spyOn(source, 'firstPage').mockReturnValueOnce(new Promise((resolve) => (answer = () => resolve(before))));
  worklist.refresh();
  worklist.close();
  worklist.open();
  source.rows = [row('c', '2026-03-03'), ...source.rows];
  source.happen('ADDED', 'c', '8');
  await vi.advanceTimersByTimeAsync(TIMES.gather);
  answer();
  await vi.advanceTimersByTimeAsync(0);
  expect(ids()).toEqual(['c', 'b', 'a']);
});

test('a study that becomes stable is not marked', async () => {
  source.happen('STABLE', 'b');
  await vi.advanceTimersByTimeAsync(TIMES.gather);
  expect(marks()).toEqual({});
});

test('on the way back, the list continues where it was left', async () => {
  source.happen('STABLE', 'b', '7');
  await vi.advanceTimersByTimeAsync(TIMES.gather);
  worklist.close();
  worklist.open();
  expect(source.followed).toEqual([null, '7']);
  expect(source.reads).toBe(1);
});

test('after an expired cursor, the list is read anew', async () => {
  source.happen('STABLE', 'b', '7');
  source.end({ errors: [{ extensions: { code: 'CURSOR_EXPIRED' } }] });
  expect(worklist.getSnapshot().isLive).toBe(false);
  await vi.advanceTimersByTimeAsync(TIMES.reconnect);
  expect(source.followed).toEqual([null, null]);
  expect(source.reads).toBe(2);
  await vi.advanceTimersByTimeAsync(TIMES.reconnect);
  expect(worklist.getSnapshot().isLive).toBe(true);
});
