import { useSubscription } from '@apollo/client/react';

import type { JobProgressFragment } from '../graphql/generated/graphql';
import { JOB_UPDATES } from './operations';

/**
 * A job as it is now, until it ends; lists that show it have it from the cache. A stream takes a connection, of which
 * browsers have six.
 */
export function useJobUpdates(job: JobProgressFragment, onEnd?: () => void): JobProgressFragment {
  const { data } = useSubscription(JOB_UPDATES, {
    variables: { id: job.id },
    skip: job.endedAt !== null,
    onComplete: onEnd,
  });
  return data?.jobUpdates ?? job;
}
