import type { StudyFilter, StudyOrder, StudyOrderField } from '../graphql/generated/graphql';
import { COLUMN_NAMES, DEFAULT_COLUMNS, tagKeyword } from './columnNames';

/** The days that a worklist shows: relative ones stay relative when the URL is shared or saved. */
export type Days = { kind: 'any' | 'today' | 'week' } | { kind: 'range'; from: string; to: string };

export interface Sort {
  field: StudyOrderField;
  descending: boolean;
}

/** All that makes a worklist what it is. Its URL holds the same. */
export interface WorklistState {
  search: string;
  days: Days;
  modalities: string[];
  labels: string[];
  patientId: string;
  sort: Sort;
  columns: string[];
}

export const DEFAULT_STATE: WorklistState = {
  search: '',
  days: { kind: 'any' },
  modalities: [],
  labels: [],
  patientId: '',
  sort: { field: 'STUDY_DATE', descending: true },
  columns: DEFAULT_COLUMNS,
};

const SORT_NAMES: Record<string, StudyOrderField> = {
  date: 'STUDY_DATE',
  description: 'DESCRIPTION',
  name: 'PATIENT_NAME',
  patientId: 'PATIENT_ID',
  accession: 'ACCESSION_NUMBER',
  arrival: 'LAST_UPDATE',
};

/** Return the state of a query string. What it does not say, or says wrongly, is as by default. */
export function parseState(query: string): WorklistState {
  const params = new URLSearchParams(query);
  const columns = list(params.get('columns')).filter((name) => COLUMN_NAMES.includes(name) || tagKeyword(name));
  return {
    search: params.get('search') ?? '',
    days: parseDays(params.get('date') ?? ''),
    modalities: list(params.get('modality')),
    labels: list(params.get('label')),
    patientId: params.get('patientId') ?? '',
    sort: parseSort(params.get('sort') ?? ''),
    columns: columns.length ? [...new Set(columns)] : DEFAULT_COLUMNS,
  };
}

/** Return the query string of a state, without what is as by default. */
export function formatState(state: WorklistState): string {
  const params = new URLSearchParams();
  if (state.search.trim()) params.set('search', state.search.trim());
  const days = formatDays(state.days);
  if (days) params.set('date', days);
  if (state.modalities.length) params.set('modality', state.modalities.join());
  if (state.labels.length) params.set('label', state.labels.join());
  if (state.patientId.trim()) params.set('patientId', state.patientId.trim());
  const sort = formatSort(state.sort);
  if (sort !== formatSort(DEFAULT_STATE.sort)) params.set('sort', sort);
  if (state.columns.join() !== DEFAULT_COLUMNS.join()) params.set('columns', state.columns.join());
  return params.toString();
}

/** Whether anything but the order and the columns differs from the default. */
export function isFiltered(state: WorklistState): boolean {
  return formatState({ ...state, sort: DEFAULT_STATE.sort, columns: DEFAULT_COLUMNS }) !== '';
}

/** Return the filter that the gateway applies; `today` is the day of the reader. */
export function studyFilter(state: WorklistState, today: Date): StudyFilter {
  const patientId = state.patientId.trim();
  return {
    ...(state.search.trim() && { search: state.search.trim() }),
    ...(state.days.kind !== 'any' && { studyDate: dateRange(state.days, today) }),
    ...(state.modalities.length && { modalities: state.modalities }),
    ...(state.labels.length && { labels: { all: state.labels } }),
    // the beginning of a PatientID finds it; with a wildcard, the pattern is the user's
    ...(patientId && { patientId: /[*?]/.test(patientId) ? patientId : `${patientId}*` }),
  };
}

/** Return the keys to order by. */
export function studyOrder(sort: Sort): StudyOrder[] {
  return [{ field: sort.field, direction: sort.descending ? 'DESC' : 'ASC' }];
}

/** Return the keywords of the columns that are DICOM tags. */
export function keywords(state: WorklistState): string[] {
  return state.columns.map(tagKeyword).filter((keyword) => keyword !== null);
}

function dateRange(days: Days, today: Date): { from?: string; to?: string } {
  if (days.kind === 'range') return { ...(days.from && { from: days.from }), ...(days.to && { to: days.to }) };
  const to = localDay(today);
  if (days.kind === 'today') return { from: to, to };
  const first = new Date(today);
  first.setDate(first.getDate() - 6);
  return { from: localDay(first), to };
}

function localDay(date: Date): string {
  const two = (value: number) => String(value).padStart(2, '0');
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

function parseDays(value: string): Days {
  if (value === 'today' || value === 'week') return { kind: value };
  const range = /^(\d{4}-\d\d-\d\d)?\.\.(\d{4}-\d\d-\d\d)?$/.exec(value);
  return range ? { kind: 'range', from: range[1] ?? '', to: range[2] ?? '' } : { kind: 'any' };
}

function formatDays(days: Days): string {
  if (days.kind === 'any') return '';
  return days.kind === 'range' ? `${days.from}..${days.to}` : days.kind;
}

function parseSort(value: string): Sort {
  const field = SORT_NAMES[value.replace(/^-/, '')];
  return field ? { field, descending: value.startsWith('-') } : DEFAULT_STATE.sort;
}

function formatSort(sort: Sort): string {
  const name = Object.keys(SORT_NAMES).find((key) => SORT_NAMES[key] === sort.field) ?? '';
  return sort.descending ? `-${name}` : name;
}

function list(value: string | null): string[] {
  return value ? value.split(',').filter(Boolean) : [];
}
