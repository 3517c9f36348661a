import { useTranslation } from 'react-i18next';

import type { JobProgressFragment } from '../graphql/generated/graphql';

/** What a job does, and with which server. */
export function JobName({ job }: { job: Pick<JobProgressFragment, 'kind' | 'target'> }) {
  const name = useJobName(job);
  return <bdi dir="auto">{name}</bdi>;
}

/** The same, as text. */
export function useJobName({ kind, target }: Pick<JobProgressFragment, 'kind' | 'target'>): string {
  const { t } = useTranslation('jobs');
  return t(`kind.${kind}`, { destination: target.destination, source: target.source });
}
