import { useFragment, useSubscription } from '@apollo/client/react';
import { useEffect, useState } from 'react';

import type { JobProgressFragment } from '../graphql/generated/graphql';
import { JOB, JOB_UPDATES } from './operations';

const RECONNECT_MS = 2_000;

/**
 * A job as it is now, until it ends; lists that show it have it from the cache. A stream takes a connection, of which
 * browsers have six.
 */
export function useJobUpdates(job: JobProgressFragment, onEnd?: () => void): JobProgressFragment {
  const { data, complete } = useFragment({
    fragment: JOB,
    fragmentName: 'JobProgress',
    from: { __typename: 'Job', id: job.id },
  });
  const now = complete ? data : job;
  const hasEnded = now.endedAt !== null;
  const [isBroken, setBroken] = useState(false);
  const { restart } = useSubscription(JOB_UPDATES, {
    variables: { id: job.id },
    skip: hasEnded,
    onData: ({ data: { data: update } }) => update?.jobUpdates.endedAt && onEnd?.(),
    // also that of a gateway that stops
    onComplete: () => setBroken(true),
    onError: () => setBroken(true),
  });
  useEffect(() => {
    if (!isBroken || hasEnded) return;
    const timer = setTimeout(() => {
      setBroken(false);
      restart();
    }, RECONNECT_MS);
    return () => clearTimeout(timer);
  }, [isBroken, hasEnded, restart]);
  return now;
}
