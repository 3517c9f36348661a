import { expect, test } from 'vitest';

import { DEFAULT_STATE, formatState, isFiltered, keywords, parseState, studyFilter, type WorklistState } from './state';

const STATE: WorklistState = {
  search: '홍길동 head & neck',
  days: { kind: 'range', from: '2026-01-31', to: '' },
  modalities: ['CT', 'MR'],
  labels: ['urgent'],
  patientId: 'P 1',
  sort: { field: 'PATIENT_NAME', descending: false },
  columns: ['patient', 'tag:KVP'],
};

test('a state survives its URL', () => {
  expect(parseState(formatState(STATE))).toEqual(STATE);
});

test('the default state has an empty query string', () => {
  expect(formatState(DEFAULT_STATE)).toBe('');
  expect(parseState('')).toEqual(DEFAULT_STATE);
  expect(isFiltered(DEFAULT_STATE)).toBe(false);
});

test.each(['date=yesterday', 'sort=-nothing', 'columns=nothing,tag:<b>', 'date=..1', 'x=1'])(
  'what is wrong in a query string is as by default: %s',
  (query) => expect(parseState(query)).toEqual(DEFAULT_STATE),
);

test('the order and the columns are no filters', () => {
  expect(isFiltered({ ...DEFAULT_STATE, sort: STATE.sort, columns: STATE.columns })).toBe(false);
  expect(isFiltered({ ...DEFAULT_STATE, search: 'x' })).toBe(true);
});

test('relative days end with the day of the reader', () => {
  const today = new Date(2026, 2, 3, 23, 59);
  const filter = (kind: 'today' | 'week') => studyFilter({ ...DEFAULT_STATE, days: { kind } }, today);
  expect(filter('today')).toEqual({ studyDate: { from: '2026-03-03', to: '2026-03-03' } });
  expect(filter('week')).toEqual({ studyDate: { from: '2026-02-25', to: '2026-03-03' } });
});

test('every filter is sent to the gateway', () => {
  expect(studyFilter(STATE, new Date())).toEqual({
    search: '홍길동 head & neck',
    studyDate: { from: '2026-01-31' },
    modalities: ['CT', 'MR'],
    labels: { all: ['urgent'] },
    patientId: 'P 1*',
  });
  expect(studyFilter({ ...DEFAULT_STATE, patientId: '?1' }, new Date())).toEqual({ patientId: '?1' });
});

test('columns of tags have keywords', () => {
  expect(keywords(STATE)).toEqual(['KVP']);
});
