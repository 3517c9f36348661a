import { useTranslation } from 'react-i18next';

import type { JobProgressFragment } from '../graphql/generated/graphql';

/** What a job does, and where to. */
export function JobName({ job }: { job: Pick<JobProgressFragment, 'kind' | 'destination'> }) {
  const name = useJobName(job);
  return <bdi dir="auto">{name}</bdi>;
}

/** The same, as text. */
export function useJobName({ kind, destination }: Pick<JobProgressFragment, 'kind' | 'destination'>): string {
  const { t } = useTranslation('jobs');
  return t(`kind.${kind}`, { destination });
}
