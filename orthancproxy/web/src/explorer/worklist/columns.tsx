import { Badge } from '@mantine/core';
import type { TFunction } from 'i18next';
import type { ReactNode } from 'react';
import { Link } from 'wouter';

import { studyPath } from '../app/routes';
import { PersonName } from '../components/PersonName';
import type { StudyOrderField } from '../graphql/generated/graphql';
import { formatDate, formatDateTime, formatName, formatNumber, formatTime, formatValue } from '../i18n/format';
import { tagKeyword } from './columnNames';
import classes from './Grid.module.css';
import type { Row } from './rows';

export interface Column {
  name: string;
  /** Of the grid's template: the least and the share of what is left. */
  width: string;
  sort?: { field: StudyOrderField; descendingFirst?: boolean };
  render: (row: Row) => ReactNode;
}

// keywords of persons, not of devices and institutions
const NAMES =
  /Physicians?(Name|OfRecord|ReadingStudy)?$|^(Patient(Mother)?(Birth)?|Operators|Reviewer|VerifyingObserver|ContentCreator)Name$/;
/** A date and a time in the longest of the three languages: 159 px in en-US. */
const MOMENT = 'minmax(10rem, 1fr)';

const COLUMNS: readonly Column[] = [
  {
    name: 'patient',
    width: 'minmax(12rem, 5fr)',
    sort: { field: 'PATIENT_NAME' },
    render: (row) => (
      <Link href={studyPath(row.orthancId)} tabIndex={-1} className={classes.name}>
        <PersonName name={row.patient.name} />
      </Link>
    ),
  },
  {
    name: 'patientId',
    width: 'minmax(5.75rem, 1.2fr)',
    sort: { field: 'PATIENT_ID' },
    render: (row) => <bdi>{row.patient.patientId}</bdi>,
  },
  { name: 'birthDate', width: 'minmax(5.5rem, 0.8fr)', render: (row) => formatDate(row.patient.birthDate) },
  { name: 'sex', width: '4rem', render: (row) => row.patient.sex },
  {
    name: 'studyDate',
    width: MOMENT,
    sort: { field: 'STUDY_DATE', descendingFirst: true },
    render: (row) => (
      <>
        {formatDate(row.studyDate)} <span className={classes.muted}>{row.studyDate && formatTime(row.studyTime)}</span>
      </>
    ),
  },
  {
    name: 'description',
    width: 'minmax(8rem, 2fr)',
    sort: { field: 'DESCRIPTION' },
    render: (row) => <bdi>{row.description}</bdi>,
  },
  {
    name: 'modalities',
    width: 'minmax(4.5rem, 0.8fr)',
    render: (row) => (
      <span className={classes.badges}>
        {row.modalities.map((modality) => (
          <span key={modality} className={classes.modality}>
            {modality}
          </span>
        ))}
      </span>
    ),
  },
  {
    name: 'accessionNumber',
    width: 'minmax(8rem, 1fr)',
    sort: { field: 'ACCESSION_NUMBER' },
    render: (row) => <bdi>{row.accessionNumber}</bdi>,
  },
  {
    name: 'referringPhysician',
    width: 'minmax(9rem, 1.2fr)',
    render: (row) => <bdi>{formatName(row.referringPhysicianName ?? '')}</bdi>,
  },
  {
    name: 'labels',
    width: 'minmax(7rem, 1fr)',
    render: (row) => (
      <span className={classes.badges}>
        {row.labels?.map((label) => (
          <Badge key={label} variant="light" size="sm" tt="none" radius="sm">
            {label}
          </Badge>
        ))}
      </span>
    ),
  },
  {
    name: 'counts',
    width: '6.5rem',
    render: (row) => (
      <span className={classes.counts}>
        {formatNumber(row.seriesCount)} / {formatNumber(row.instancesCount)}
      </span>
    ),
  },
  {
    name: 'arrival',
    width: MOMENT,
    sort: { field: 'LAST_UPDATE', descendingFirst: true },
    render: (row) => formatDateTime(row.lastUpdate),
  },
];

/** The column of a name: one of the API's fields, or a DICOM tag. */
export function columnOf(name: string): Column {
  const keyword = tagKeyword(name);
  if (keyword === null) return COLUMNS.find((column) => column.name === name) as Column;
  return {
    name,
    width: 'minmax(8rem, 1fr)',
    render: (row) => {
      const value = (row.tags as Record<string, string | null> | undefined)?.[keyword] ?? '';
      return <bdi>{NAMES.test(keyword) ? formatName(value) : formatValue(keyword, value)}</bdi>;
    },
  };
}

/** What a column is called: a DICOM tag by its keyword. */
export function columnTitle(name: string, t: TFunction<'worklist'>): string {
  return tagKeyword(name) ?? t(`column.${name}` as 'column.patient');
}
