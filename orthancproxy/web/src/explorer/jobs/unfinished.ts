import type { ApolloCache, DocumentNode } from '@apollo/client';
import { useQuery } from '@apollo/client/react';
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
/** Those of them that have ended, so that the list has them no more. */
const leftToTell = new Set<string>();

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
      if (now.has(id)) continue;
      if (shownWhereBegun.has(id)) leftToTell.add(id);
      else tell(id);
    }
    before.current = now;
  }, [jobs]);
}

interface Answer<Data> {
  data?: Data | null;
}

/**
 * Options of a mutation that begins a job: the corner knows of it, also where the dialog was closed before the answer.
 * `jobOf` returns undefined or null where none was begun.
 */
export function useBeginning<Data>(jobOf: (data: Data) => JobProgressFragment | null | undefined): {
  update: (cache: ApolloCache, answer: Answer<Data>) => void;
  refetchQueries: (answer: Answer<Data>) => DocumentNode[];
} {
  const username = useSession().viewer?.username ?? '';
  return {
    update(cache, { data }) {
      const job = data && jobOf(data);
      if (!job || job.endedAt) return;
      cache.updateQuery({ query: UNFINISHED_JOBS, variables: { createdBy: username } }, (known) => {
        if (!known || known.jobs.nodes.some(({ id }) => id === job.id)) return known;
        return { ...known, jobs: { ...known.jobs, nodes: [job, ...known.jobs.nodes] } };
      });
    },
    // an answer that is under way may be from before
    refetchQueries: ({ data }) => (data && jobOf(data) ? [UNFINISHED_JOBS] : []),
  };
}

/** Lets the corner not tell the end of a job while the component is there, which shows it as soon as it knows of it. */
export function useBegunHere({ id, endedAt }: JobProgressFragment): void {
  const showsEnd = useRef(false);
  showsEnd.current = endedAt !== null;
  useEffect(() => {
    shownWhereBegun.add(id);
    return () => {
      shownWhereBegun.delete(id);
      if (leftToTell.delete(id) && !showsEnd.current) tell(id);
    };
  }, [id]);
}

function tell(id: string): void {
  // what cannot be told now is in the list of jobs
  import('./tellEnd').then(({ tellEnd }) => tellEnd(id)).catch(() => undefined);
}
