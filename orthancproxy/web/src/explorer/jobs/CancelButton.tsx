import { useMutation } from '@apollo/client/react';
import { Button } from '@mantine/core';
import { useTranslation } from 'react-i18next';

import { notify } from '../app/notify';
import type { JobProgressFragment } from '../graphql/generated/graphql';
import { CANCEL_JOB } from './operations';

/** Cancels a job that goes on; `name` tells screen readers which one. */
export function CancelButton({ job, name }: { job: JobProgressFragment; name: string }) {
  const { t } = useTranslation('jobs');
  const [cancel, { loading }] = useMutation(CANCEL_JOB);
  return (
    <Button
      variant="light"
      color="red"
      size="compact-sm"
      loading={loading}
      disabled={job.isBeingCancelled}
      aria-label={t('cancelJob', { name })}
      onClick={() => void cancel({ variables: { id: job.id } }).catch(notify.error)}
    >
      {t(job.isBeingCancelled ? 'isBeingCancelled' : 'cancel')}
    </Button>
  );
}
