import { useMutation } from '@apollo/client/react';
import { Badge, Button, Group, Progress, Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';

import { notify } from '../app/notify';
import type { JobProgressFragment } from '../graphql/generated/graphql';
import { formatNumber } from '../i18n/format';
import classes from './Jobs.module.css';
import { CANCEL_JOB } from './operations';

const COLORS = { PENDING: 'gray', RUNNING: 'blue', SUCCESS: 'teal', FAILED: 'red', CANCELLED: 'gray' } as const;

/** How far a job is, why it failed, and the button that cancels it. `name` tells screen readers which job it is. */
export function JobProgress({ job, name }: { job: JobProgressFragment; name: string }) {
  const { t } = useTranslation('jobs');
  const [cancel, { loading }] = useMutation(CANCEL_JOB);
  const percent = Math.round(job.progress * 100);
  const count = job.result?.instancesCount;
  return (
    <div className={classes.progress}>
      <Group gap="xs" justify="space-between" wrap="nowrap">
        <Badge variant="light" tt="none" radius="sm" color={COLORS[job.state]} className={classes.state} role="status">
          {t(`state.${job.state}`)}
        </Badge>
        {!job.endedAt && (
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
        )}
      </Group>
      {!job.endedAt && (
        <Progress.Root size="sm" mt={6}>
          <Progress.Section value={percent} aria-label={t('progress', { name })} />
        </Progress.Root>
      )}
      {job.state === 'SUCCESS' && typeof count === 'number' && (
        <Text size="sm">{t('sent', { count, number: formatNumber(count) })}</Text>
      )}
      {job.error && <Text size="sm">{t(`error.${codeOf(job.error.code)}`, { status: job.error.dimseStatus })}</Text>}
      {job.error?.dimseStatus && <Text size="sm">{t('dimseStatus', { status: job.error.dimseStatus })}</Text>}
    </div>
  );
}

const CODES = ['DESTINATION_FAILED', 'JOB_LOST', 'NOT_FOUND', 'FORBIDDEN'] as const;

function codeOf(code: string): (typeof CODES)[number] | 'other' {
  return CODES.find((known) => known === code) ?? 'other';
}
