/** The columns that the API has fields for, in the order in which they are offered. */
export const COLUMN_NAMES = [
  'patient',
  'patientId',
  'birthDate',
  'sex',
  'studyDate',
  'description',
  'modalities',
  'accessionNumber',
  'referringPhysician',
  'labels',
  'counts',
  'arrival',
];

export const DEFAULT_COLUMNS = [
  'patient',
  'patientId',
  'birthDate',
  'studyDate',
  'description',
  'modalities',
  'counts',
  'arrival',
];

/** The default columns that a window less than 80em wide has room for. */
export const COMPACT_COLUMNS = DEFAULT_COLUMNS.filter((name) => name !== 'birthDate' && name !== 'arrival');

/** Those for a window less than 64em wide. */
export const NARROW_COLUMNS = COMPACT_COLUMNS.filter((name) => name !== 'counts');

const KEYWORD = /^tag:([A-Z][A-Za-z0-9]{1,63})$/;

/** Return the name of the column of a DICOM tag. */
export function tagColumn(keyword: string): string {
  return `tag:${keyword}`;
}

/** Return the keyword of a column that is a DICOM tag; null for other columns, and for what is no keyword. */
export function tagKeyword(column: string): string | null {
  return KEYWORD.exec(column)?.[1] ?? null;
}

/** Keywords to suggest. Any other keyword of the dictionary can be typed. */
export const SUGGESTED_KEYWORDS = [
  'AdmissionID',
  'BodyPartExamined',
  'InstitutionalDepartmentName',
  'InstitutionName',
  'KVP',
  'MagneticFieldStrength',
  'Manufacturer',
  'ManufacturerModelName',
  'OperatorsName',
  'PatientAge',
  'PatientComments',
  'PatientSize',
  'PatientWeight',
  'PerformedProcedureStepDescription',
  'PerformingPhysicianName',
  'ProtocolName',
  'RequestedProcedureDescription',
  'RequestingPhysician',
  'SoftwareVersions',
  'StationName',
  'StudyID',
];
