import type { SourceFilter } from '../graphql/generated/graphql';

/** The parameters of the URL besides `source`. */
export const CRITERIA = ['name', 'patient', 'accession', 'description', 'modality', 'from', 'to'] as const;
export type Criteria = Record<(typeof CRITERIA)[number], string>;

export function criteriaOf(parameters: URLSearchParams): Criteria {
  return Object.fromEntries(CRITERIA.map((name) => [name, parameters.get(name) ?? ''])) as Criteria;
}

/** What to search for; undefined without a criterion. Names match what they begin with, as people write them. */
export function filterOf(criteria: Criteria): SourceFilter | undefined {
  const { name, patient, accession, description, modality, from, to } = criteria;
  const filter: SourceFilter = {
    ...(name && { patientName: /[*?]/.test(name) ? name : `${name}*` }),
    ...(patient && { patientId: patient }),
    ...(accession && { accessionNumber: accession }),
    ...(description && { description: /[*?]/.test(description) ? description : `*${description}*` }),
    ...(modality && { modality }),
    ...((from || to) && { studyDate: { from: from || undefined, to: to || undefined } }),
  };
  return Object.keys(filter).length > 0 ? filter : undefined;
}
