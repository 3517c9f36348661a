import { useQuery } from '@apollo/client/react';
import { Badge, Progress as Bar, Button, Group, Stack, Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { Link } from 'wouter';

import { jobsPath, studyPath } from '../app/routes';
import type { JobProgressFragment } from '../graphql/generated/graphql';
import { formatNumber } from '../i18n/format';
import { useJobUpdates } from '../jobs/useJobUpdates';
import { RESULT } from './operations';

/** How far the job is, and the way to what it has made. */
export function Progress({ job: begun, onClose }: { job: JobProgressFragment; onClose: () => void }) {
  const { t } = useTranslation('anonymize');
  const job = useJobUpdates(begun);
  const { data } = useQuery(RESULT, {
    variables: { id: job.id },
    skip: job.endedAt === null,
    fetchPolicy: 'network-only',
  });
  const made = data?.job?.result?.instancesCount;
  const leftOut = data?.job?.result?.leftOutCount;
  const study = data?.job?.study;
  return (
    <Stack gap="md">
      <Badge variant="light" tt="none" radius="sm" role="status">
        {t(`state.${job.state}`)}
      </Badge>
      {!job.endedAt && (
        <>
          <Bar.Root size="sm">
            <Bar.Section value={Math.round(job.progress * 100)} aria-label={t('progress')} />
          </Bar.Root>
          <Text size="sm" c="dimmed">
            {t('goesOn')}
          </Text>
        </>
      )}
      {job.state === 'SUCCESS' && typeof made === 'number' && (
        <Text size="sm">{t('made', { count: made, number: formatNumber(made) })}</Text>
      )}
      {job.state === 'SUCCESS' && typeof leftOut === 'number' && (
        <Text size="sm">{t('leftOut', { count: leftOut, number: formatNumber(leftOut) })}</Text>
      )}
      {job.error && <Text size="sm">{t('failed', { message: job.error.message })}</Text>}
      <Group justify="space-between">
        <Button variant="subtle" component={Link} href={jobsPath()} onClick={onClose}>
          {t('toJobs')}
        </Button>
        {study && job.state === 'SUCCESS' ? (
          <Button component={Link} href={studyPath(study.orthancId)} onClick={onClose}>
            {t('toStudy')}
          </Button>
        ) : (
          <Button variant="default" onClick={onClose} data-autofocus>
            {t('close')}
          </Button>
        )}
      </Group>
    </Stack>
  );
}
