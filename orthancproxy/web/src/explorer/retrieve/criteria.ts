import type { SourceFilter } from '../graphql/generated/graphql';

/** The parameters of the URL besides `source`. */
export const CRITERIA = ['name', 'patient', 'accession', 'description', 'modality', 'from', 'to'] as const;
export type Criteria = Record<(typeof CRITERIA)[number], string>;

export function criteriaOf(parameters: URLSearchParams): Criteria {
  return Object.fromEntries(CRITERIA.map((name) => [name, parameters.get(name) ?? ''])) as Criteria;
}

/** What to search for; undefined without a criterion. Names match what they begin with, in any script. */
export function filterOf(criteria: Criteria): SourceFilter | undefined {
  const { name, patient, accession, description, modality, from, to } = criteria;
  const filter: SourceFilter = {
    ...(name.trim() && { patientName: patternOf(name) }),
    ...(patient && { patientId: patient }),
    ...(accession && { accessionNumber: accession }),
    ...(description && { description: /[*?]/.test(description) ? description : `*${description}*` }),
    ...(modality.trim() && { modality: modality.trim().toUpperCase() }),
    ...((from || to) && { studyDate: { from: from || undefined, to: to || undefined } }),
  };
  return Object.keys(filter).length > 0 ? filter : undefined;
}

/** A name as people write it, with a blank or comma where DICOM has `^`. */
function patternOf(name: string): string {
  if (/[*?]/.test(name)) return name;
  const pattern = `${name.trim().replaceAll(/[,\s]+/g, '*')}*`;
  // many servers, such as Orthanc, compare all groups as one text: Hong^Gildong=洪^吉洞=홍^길동
  return /^\p{ASCII}*$/u.test(name) ? pattern : `*${pattern}`;
}
