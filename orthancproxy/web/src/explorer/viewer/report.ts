/** The content tree of a structured report (PS3.3 section C.17.3), from the DICOM JSON model. */

import { formatDate, formatTime } from '../i18n/format';
import type { DicomJson } from '../study/attributes';

export interface ReportItem {
  /** The meaning of the concept's code; empty where the item has none. */
  name: string;
  /** Empty for a container. */
  value: string;
  children: readonly ReportItem[];
}

const MAX_DEPTH = 30;
// ValueType: the attribute of the value (PS3.3 table C.17.3-5).
const TEXTS: Readonly<Record<string, string>> = {
  TEXT: '0040A160',
  DATETIME: '0040A13A',
  DATE: '0040A121',
  TIME: '0040A122',
  UIDREF: '0040A124',
  PNAME: '0040A123',
};

/** Return the title of a report and what is in it. */
export function reportOf(dataset: DicomJson): ReportItem {
  return itemOf(dataset, 0);
}

function itemOf(item: DicomJson, depth: number): ReportItem {
  const children = depth < MAX_DEPTH ? items(item, '0040A730').map((child) => itemOf(child, depth + 1)) : [];
  return { name: meaning(items(item, '0040A043')[0]), value: valueOfItem(item), children };
}

function valueOfItem(item: DicomJson): string {
  const type = text(item, '0040A040');
  if (type === 'CODE') return meaning(items(item, '0040A168')[0]);
  if (type === 'NUM') {
    const measured = items(item, '0040A300')[0];
    const unit = text(items(measured, '004008EA')[0], '00080100');
    // the unit of a number without one (UCUM)
    return [text(measured, '0040A30A'), unit === '1' ? '' : unit].filter(Boolean).join(' ');
  }
  const value = text(item, TEXTS[type] ?? '');
  if (type === 'DATE') return formatDate(value);
  if (type === 'TIME') return formatTime(value, 'medium');
  return type === 'DATETIME' ? formatMoment(value) : value;
}

/** A DT as the device wrote it, with its offset from UTC if it has one; as it is where a part of it is missing. */
function formatMoment(value: string): string {
  const [, day, time, offset] = /^(\d{8})(\d{4,6}(?:\.\d+)?)([+-]\d{4})?$/.exec(value) ?? [];
  return day && time ? [formatDate(day), formatTime(time, 'medium'), offset].filter(Boolean).join(' ') : value;
}

function items(item: DicomJson | undefined, tag: string): readonly DicomJson[] {
  return (item?.[tag]?.Value ?? []) as readonly DicomJson[];
}

function meaning(code: DicomJson | undefined): string {
  return text(code, '00080104');
}

function text(item: DicomJson | undefined, tag: string): string {
  const value = item?.[tag]?.Value?.[0];
  if (value === undefined || value === null) return '';
  if (typeof value !== 'object') return String(value).trim();
  const { Alphabetic = '', Ideographic = '' } = value as Record<string, string>;
  return [Alphabetic, Ideographic].filter(Boolean).join(' ').replace(/\^+/g, ' ').trim();
}
