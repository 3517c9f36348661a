/** The paths of the page's routes, relative to `config.base`, which the router adds; Django's urls.py serves the same. */
type Parameters = Record<string, string | undefined>;

export const patterns = {
  worklist: '/',
  study: '/studies/:orthancId',
  viewer: '/studies/:orthancId/view',
  patient: '/patients/:orthancId',
  upload: '/upload',
  audit: '/audit',
  retrieve: '/retrieve',
  jobs: '/jobs',
  shares: '/shares',
  trash: '/trash',
  account: '/account',
  status: '/status',
} as const;

/** The worklist, with its state: search, filters, order and columns. */
export function worklistPath(parameters: Parameters = {}): string {
  return withQuery(patterns.worklist, parameters);
}

export function studyPath(orthancId: string): string {
  return `/studies/${encodeURIComponent(orthancId)}`;
}

export function patientPath(orthancId: string): string {
  return `/patients/${encodeURIComponent(orthancId)}`;
}

/** The viewer of a study, showing these series side by side; by default the first one. */
export function viewerPath(studyOrthancId: string, seriesOrthancIds: readonly string[] = []): string {
  return withQuery(`${studyPath(studyOrthancId)}/view`, { series: seriesOrthancIds.join(',') });
}

export function uploadPath(): string {
  return patterns.upload;
}

/** The audit log, of a study (StudyInstanceUID), a patient (PatientID) or a user if one is given. */
export function auditPath(filter: { study?: string; patient?: string; user?: string } = {}): string {
  return withQuery(patterns.audit, filter);
}

export function jobsPath(): string {
  return patterns.jobs;
}

export function retrievePath(): string {
  return patterns.retrieve;
}

export function sharesPath(): string {
  return patterns.shares;
}

export function trashPath(): string {
  return patterns.trash;
}

export function accountPath(): string {
  return patterns.account;
}

export function statusPath(): string {
  return patterns.status;
}

function withQuery(path: string, parameters: Parameters): string {
  const given = Object.entries(parameters).filter((entry): entry is [string, string] => Boolean(entry[1]));
  return given.length > 0 ? `${path}?${new URLSearchParams(given)}` : path;
}
