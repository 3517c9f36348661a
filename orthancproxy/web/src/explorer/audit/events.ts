import { useQuery } from '@apollo/client/react';
import { graphql } from '../graphql/generated';
import type { AuditEventFilter, AuditEventsQuery } from '../graphql/generated/graphql';
import { asOf } from './filter';

export type AuditEvent = AuditEventsQuery['auditEvents']['nodes'][number];

const MAX_SHOWN_AT_ONCE = 100;

export const EVENTS = graphql(`
  query AuditEvents($filter: AuditEventFilter!, $first: Int!, $after: String, $counted: Boolean!) {
    auditEvents(filter: $filter, first: $first, after: $after) {
      totalCount @include(if: $counted)
      pageInfo {
        hasNextPage
        endCursor
      }
      nodes {
        id
        at
        event
        operation
        outcome
        errorCode
        username
        authentication
        address
        target
        requestId
        durationMs
        counts
        details
        code
        intentionId
        subjects {
          patientId
          studyInstanceUID
        }
      }
    }
  }
`);

/** The events that match a filter, the newest first, page after page. */
export function useEvents(filter: AuditEventFilter, maxPageSize: number) {
  const first = Math.min(MAX_SHOWN_AT_ONCE, maxPageSize);
  const query = useQuery(EVENTS, {
    variables: { filter, first, counted: true },
    // the log grows with each operation, this one included
    fetchPolicy: 'network-only',
    nextFetchPolicy: 'cache-first',
    notifyOnNetworkStatusChange: true,
  });
  const page = query.data?.auditEvents;

  async function fetchOlder() {
    const [newest] = page?.nodes ?? [];
    if (!page || !newest) return;
    await query.fetchMore({
      variables: { filter: asOf(filter, newest.at), first, after: page.pageInfo.endCursor, counted: false },
      updateQuery: (previous, { fetchMoreResult }) => ({
        ...previous,
        auditEvents: {
          ...previous.auditEvents,
          pageInfo: fetchMoreResult.auditEvents.pageInfo,
          nodes: [...previous.auditEvents.nodes, ...fetchMoreResult.auditEvents.nodes],
        },
      }),
    });
  }

  return { ...query, page, fetchOlder };
}
