import { useApolloClient, useQuery } from '@apollo/client/react';
import { useDocumentVisibility } from '@mantine/hooks';
import { useEffect, useRef } from 'react';

import { useLoginNeeded } from '../app/login';
import { useSession } from '../app/session';
import type { Action, JobProgressFragment } from '../graphql/generated/graphql';
import { UNFINISHED_JOBS } from './operations';

const POLL_MS = 2_000;
/** Whoever has one of these permissions may have jobs. */
export const BEGINS_JOBS: readonly Action[] = ['SEND', 'MODIFY', 'ANONYMIZE', 'RETRIEVE'];

const shownWhereBegun = new Set<string>();

/** The caller's jobs that go on, whoever began them: asked for once, and then every 2 s while there are any. */
export function useUnfinishedJobs(): readonly JobProgressFragment[] {
  const { viewer, may } = useSession();
  const isVisible = useDocumentVisibility() === 'visible';
  const isLoginNeeded = useLoginNeeded();
  const isSkipped = !may('VIEW') || !BEGINS_JOBS.some(may);
  const { data, previousData, refetch, startPolling, stopPolling } = useQuery(UNFINISHED_JOBS, {
    variables: { createdBy: viewer?.username ?? '' },
    skip: isSkipped,
  });
  // where a job was begun, its end may be known before the next poll
  const jobs = ((data ?? previousData)?.jobs.nodes ?? []).filter(({ endedAt }) => !endedAt);
  const isPolling = jobs.length > 0 && !isSkipped && !isLoginNeeded && isVisible;
  useEffect(() => {
    if (!isPolling) return;
    startPolling(POLL_MS);
    return stopPolling;
  }, [isPolling, startPolling, stopPolling]);
  const wasVisible = useRef(isVisible);
  useEffect(() => {
    // its error is that of every request, such as of one without a connection
    if (isVisible && !wasVisible.current && !isSkipped) refetch().catch(() => undefined);
    wasVisible.current = isVisible;
  }, [isVisible, isSkipped, refetch]);
  useEnds(jobs);
  return isSkipped ? [] : jobs;
}

/** Tells how the jobs end that were in the list. */
function useEnds(jobs: readonly JobProgressFragment[]): void {
  const before = useRef<ReadonlySet<string>>(new Set());
  useEffect(() => {
    const now = new Set(jobs.map(({ id }) => id));
    for (const id of before.current) {
      if (now.has(id) || shownWhereBegun.has(id)) continue;
      // what cannot be told now is in the list of jobs
      import('./tellEnd').then(({ tellEnd }) => tellEnd(id)).catch(() => undefined);
    }
    before.current = now;
  }, [jobs]);
}

/** Lets the corner know of a job that was begun here. Its end is not told while this is shown, which shows it. */
export function useBegunHere(job: JobProgressFragment): void {
  const { cache } = useApolloClient();
  const username = useSession().viewer?.username ?? '';
  // biome-ignore lint/correctness/useExhaustiveDependencies: once, as it was begun
  useEffect(() => {
    shownWhereBegun.add(job.id);
    cache.updateQuery({ query: UNFINISHED_JOBS, variables: { createdBy: username } }, (data) => {
      if (!data || data.jobs.nodes.some(({ id }) => id === job.id)) return data;
      return { ...data, jobs: { ...data.jobs, nodes: [job, ...data.jobs.nodes] } };
    });
    return () => {
      shownWhereBegun.delete(job.id);
    };
  }, [job.id]);
}
