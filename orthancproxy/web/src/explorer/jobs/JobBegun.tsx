import { Button, Group, Stack, Text } from '@mantine/core';
import { type ReactNode, useEffect } from 'react';
import { useTranslation } from 'react-i18next';
import { Link } from 'wouter';

import { jobsPath } from '../app/routes';
import type { JobProgressFragment } from '../graphql/generated/graphql';
import { JobProgress } from './JobProgress';
import { useBegunHere } from './unfinished';
import { useJobUpdates } from './useJobUpdates';

interface JobBegunProps {
  job: JobProgressFragment;
  /** What it is about, for screen readers. */
  of: string;
  onClose: () => void;
  /** Called with the job as it has ended. */
  onEnd?: (job: JobProgressFragment) => void;
  /** Offers a button once it has failed, or was cancelled. */
  onRetry?: () => void;
  /** Further buttons. */
  children?: ReactNode;
}

/** The end of a dialog that began a job: how far it is. When the dialog is closed, the corner of the page goes on. */
export function JobBegun({ job, of, onClose, onEnd, onRetry, children }: JobBegunProps) {
  const { t } = useTranslation(['jobs', 'app']);
  const now = useJobUpdates(job);
  useBegunHere(now);
  // biome-ignore lint/correctness/useExhaustiveDependencies: once, when it has ended
  useEffect(() => {
    if (now.endedAt) onEnd?.(now);
  }, [now.endedAt]);
  return (
    <Stack gap="md">
      <JobProgress job={now} of={of} />
      {!now.endedAt && (
        <Text size="sm" c="dimmed">
          {t('begun.goesOn')}
        </Text>
      )}
      <Group justify="space-between">
        <Button variant="subtle" component={Link} href={jobsPath()} onClick={onClose}>
          {t('begun.toJobs')}
        </Button>
        <Group gap="xs">
          {children}
          {onRetry && (now.state === 'FAILED' || now.state === 'CANCELLED') && (
            <Button onClick={onRetry}>{t('app:retry')}</Button>
          )}
          <Button variant="default" onClick={onClose} data-autofocus>
            {t('begun.close')}
          </Button>
        </Group>
      </Group>
    </Stack>
  );
}
