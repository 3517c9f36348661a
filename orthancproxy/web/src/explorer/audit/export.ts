import type { ApolloClient } from '@apollo/client';
import type { TFunction } from 'i18next';
import type { AuditEventFilter } from '../graphql/generated/graphql';
import { type Cell, toCsv } from './csv';
import { type AuditEvent, EVENTS } from './events';
import { asOf } from './filter';

const COLUMNS = {
  id: ({ id }) => Number(id),
  at: ({ at }) => at,
  user: ({ username }) => username,
  authentication: ({ authentication }, t) => t(`authentication.${authentication}`),
  address: ({ address }) => address,
  event: ({ event }, t) => t(`event.${event}`),
  operation: ({ operation }) => operation,
  outcome: ({ outcome }, t) => t(`outcome.${outcome}`),
  error: ({ errorCode }) => errorCode,
  patients: ({ subjects }) => lines(subjects.map(({ patientId }) => patientId)),
  studies: ({ subjects }) => lines(subjects.map(({ studyInstanceUID }) => studyInstanceUID)),
  target: ({ target }) => target,
  counts: ({ counts }) => described(counts),
  changes: ({ details }) => described(details),
  duration: ({ durationMs }) => durationMs,
  request: ({ requestId }) => requestId,
  code: ({ code }) => code,
  intention: ({ intentionId }) => (intentionId ? Number(intentionId) : null),
} satisfies Record<string, (event: AuditEvent, t: TFunction<'audit'>) => Cell>;

/** Return a CSV of all events that match a filter. `onPage` is called with the number of events that have been read, and of all. */
export async function exportEvents(
  client: ApolloClient,
  filter: AuditEventFilter,
  options: {
    pageSize: number;
    signal: AbortSignal;
    onPage: (done: number, total: number) => void;
    t: TFunction<'audit'>;
  },
): Promise<Blob> {
  const rows: Cell[][] = [Object.keys(COLUMNS).map((name) => options.t(`column.${name as keyof typeof COLUMNS}`))];
  let after: string | null | undefined;
  let total = 0;
  let pinned = filter;
  do {
    options.signal.throwIfAborted();
    const { data } = await client.query({
      query: EVENTS,
      variables: { filter: pinned, first: options.pageSize, after, counted: !after },
      fetchPolicy: 'no-cache',
      context: { fetchOptions: { signal: options.signal } },
    });
    if (!data) break;
    const { nodes, pageInfo, totalCount } = data.auditEvents;
    if (!after && nodes[0]) pinned = asOf(filter, nodes[0].at);
    total = totalCount ?? total;
    for (const event of nodes) rows.push(Object.values(COLUMNS).map((cell) => cell(event, options.t)));
    after = pageInfo.hasNextPage ? pageInfo.endCursor : null;
    options.onPage(rows.length - 1, total);
  } while (after);
  return new Blob([toCsv(rows)], { type: 'text/csv;charset=utf-8' });
}

/** Make the browser save a file. */
export function save(file: Blob, name: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.click();
  // the download has begun by then
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** Describe a JSON object on one line: `studies: 2; instances: 200`, and objects within it in parentheses. */
export function described(value: unknown): string {
  if (value === null || typeof value !== 'object') return String(value ?? '');
  if (Array.isArray(value)) return value.map(describedInner).join(', ');
  return Object.entries(value)
    .map(([name, of]) => `${name}: ${describedInner(of)}`)
    .join('; ');
}

function describedInner(value: unknown): string {
  const isObject = value !== null && typeof value === 'object' && !Array.isArray(value);
  return isObject ? `(${described(value)})` : described(value);
}

function lines(texts: readonly (string | null | undefined)[]): string {
  return [...new Set(texts.filter(Boolean))].join('\n');
}
