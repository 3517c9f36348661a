import type { AuditEventFilter, AuditEventKind, AuditOutcome } from '../graphql/generated/graphql';

export const KINDS = [
  'ACCESSED',
  'TRANSFERRED',
  'SENT',
  'MODIFIED',
  'QUERIED',
  'RETRIEVED',
  'IMPORT',
  'DELETION',
  'TRASHED',
  'RESTORED',
  'LABELLED',
  'ANONYMIZED',
  'REIDENTIFIED',
  'LOGIN',
  'LOGOUT',
  'AUDIT_LOG_USED',
  'ACCESS_CHANGED',
] as const satisfies readonly AuditEventKind[];
/** The outcomes, and `UNFINISHED`: begun, but no outcome was ever written. */
export const OUTCOMES = ['SUCCESS', 'DENIED', 'FAILED', 'INTENDED', 'UNFINISHED'] as const satisfies readonly (
  | AuditOutcome
  | 'UNFINISHED'
)[];
/** The parameters of the URL, of which all but the kinds of events occur once. Days are those of the person who reads. */
export const TEXTS = ['user', 'patient', 'study', 'operation', 'target', 'request', 'address'] as const;
export const PARAMETERS = [...TEXTS, 'event', 'outcome', 'from', 'to'] as const;

/** Return the filter that a URL describes. Values that no filter has, such as `outcome=x`, are ignored. */
export function filterOf(parameters: URLSearchParams): AuditEventFilter {
  const events = KINDS.filter((kind) => parameters.getAll('event').includes(kind));
  const outcome = OUTCOMES.find((known) => known === parameters.get('outcome'));
  const [since, until] = [midnight(parameters.get('from')), midnight(parameters.get('to'), 1)];
  const text = (name: (typeof TEXTS)[number]) => parameters.get(name) || undefined;
  return given({
    events: events.length ? events : undefined,
    outcome: outcome === 'UNFINISHED' ? undefined : outcome,
    isUnfinished: outcome === 'UNFINISHED' ? true : undefined,
    since,
    until,
    username: text('user'),
    patientId: text('patient'),
    studyInstanceUID: text('study'),
    operation: text('operation'),
    target: text('target'),
    requestId: text('request'),
    address: text('address'),
  });
}

/**
 * Return the filter for the pages after the first. Reading the log writes an event, which would move the others by one
 * place: a page would begin with the last event of the page before it.
 */
export function asOf(filter: AuditEventFilter, newest: string): AuditEventFilter {
  // `until` is exclusive, and a Date has milliseconds where an event has microseconds
  const end = new Date(Date.parse(newest) + 1).toISOString();
  return { ...filter, until: filter.until && filter.until < end ? filter.until : end };
}

function midnight(day: string | null, daysLater = 0): string | undefined {
  const [, year, month, date] = /^(\d{4})-(\d\d)-(\d\d)$/.exec(day ?? '') ?? [];
  if (!year) return undefined;
  const start = new Date(Number(year), Number(month) - 1, Number(date) + daysLater);
  return Number.isNaN(start.getTime()) ? undefined : start.toISOString();
}

function given<T extends object>(filter: T): T {
  return Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== undefined)) as T;
}
