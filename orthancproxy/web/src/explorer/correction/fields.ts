import type { TagValue } from '../graphql/generated/graphql';
import type { en } from './texts';

export type CorrectableLevel = 'PATIENT' | 'STUDY' | 'SERIES';
export type Keyword = keyof typeof en.field;
/** As DICOM writes them, by keyword. */
export type Values = Readonly<Partial<Record<Keyword, string>>>;

const OF_PATIENT = ['PatientID', 'PatientName', 'PatientBirthDate', 'PatientSex'] as const;

/** What the form of a level offers; the API takes some more. */
export const FIELDS: Readonly<Record<CorrectableLevel, readonly Keyword[]>> = {
  PATIENT: OF_PATIENT,
  STUDY: [
    ...OF_PATIENT,
    'StudyDescription',
    'AccessionNumber',
    'StudyDate',
    'StudyID',
    'ReferringPhysicianName',
    'InstitutionName',
  ],
  SERIES: ['SeriesDescription', 'SeriesNumber', 'SeriesDate', 'BodyPartExamined', 'ProtocolName', 'OperatorsName'],
};

export const SEXES = ['', 'M', 'F', 'O'];

/** How a value is edited. One that the control cannot show is edited as text, so that it is not lost. */
export function controlOf(keyword: Keyword, value: string): 'date' | 'sex' | 'text' {
  if (keyword.endsWith('Date')) return value === '' || isoDate(value) ? 'date' : 'text';
  if (keyword === 'PatientSex') return SEXES.includes(value) ? 'sex' : 'text';
  return 'text';
}

/** `19700131` as browsers write it; empty if it is no day. */
export function isoDate(value: string): string {
  const [, year, month, day] = /^(\d{4})(\d\d)(\d\d)$/.exec(value) ?? [];
  const iso = `${year}-${month}-${day}`;
  const date = new Date(`${iso}T00:00:00Z`);
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(iso) ? iso : '';
}

export function dicomDate(iso: string): string {
  return iso.replaceAll('-', '');
}

/** What differs, without padding. */
export function changedValues(before: Values, after: Values): TagValue[] {
  return Object.entries(after)
    .map(([keyword, value]) => ({ keyword, value: value.trim() }))
    .filter(({ keyword, value }) => value !== (before[keyword as Keyword] ?? '').trim());
}
