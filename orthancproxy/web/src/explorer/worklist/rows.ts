import type { StudyOrderField, WorklistStudyFragment } from '../graphql/generated/graphql';
import type { Sort } from './state';

export type Row = WorklistStudyFragment;

/** The rows that were fetched so far. */
export interface Rows {
  rows: readonly Row[];
  endCursor: string | null;
  hasNextPage: boolean;
}

/** Append a page, without the rows that are there already: a row may have moved while the list was read. */
export function appendPage(list: Rows, page: Rows): Rows {
  const known = new Set(list.rows.map((row) => row.id));
  return { ...page, rows: [...list.rows, ...page.rows.filter((row) => !known.has(row.id))] };
}

/**
 * Put the present state of some studies into the list.
 *
 * Those of `changed` that are not among `found` do not match the filter any more, and leave the list. What would stand
 * after the last row comes with a later page.
 */
export function mergeChanges(list: Rows, changed: ReadonlySet<string>, found: readonly Row[], sort: Sort): Rows {
  const present = new Map(found.map((row) => [row.id, row]));
  const rows: Row[] = [];
  for (const row of list.rows) {
    const now = present.get(row.id);
    if (now && compareRows(row, now, sort) === 0) {
      rows.push(now);
      present.delete(row.id);
    } else if (!now && !changed.has(row.id)) {
      rows.push(row);
    }
  }
  for (const row of present.values()) {
    const index = insertionIndex(rows, row, sort);
    if (index < rows.length || !list.hasNextPage) rows.splice(index, 0, row);
  }
  return { ...list, rows };
}

/** Compare two studies as the gateway orders them: ties by StudyInstanceUID, what is absent first when ascending. */
export function compareRows(a: Row, b: Row, sort: Sort): number {
  const order = compare(sortKey(a, sort.field), sortKey(b, sort.field));
  return (sort.descending ? -order : order) || compare(a.studyInstanceUID, b.studyInstanceUID);
}

function insertionIndex(rows: readonly Row[], row: Row, sort: Sort): number {
  let [low, high] = [0, rows.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (compareRows(row, rows[middle] as Row, sort) < 0) high = middle;
    else low = middle + 1;
  }
  return low;
}

function sortKey(row: Row, field: StudyOrderField): string {
  switch (field) {
    case 'DESCRIPTION':
      return (row.description ?? '').toLowerCase();
    case 'PATIENT_NAME':
      return (row.patient.patientName ?? '').toLowerCase();
    case 'PATIENT_ID':
      return (row.patient.patientId ?? '').toLowerCase();
    case 'ACCESSION_NUMBER':
      return (row.accessionNumber ?? '').toLowerCase();
    case 'LAST_UPDATE':
      return row.lastUpdate ?? '';
    default:
      return row.studyDate ? `${row.studyDate} ${row.studyTime ?? ''}` : '';
  }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
