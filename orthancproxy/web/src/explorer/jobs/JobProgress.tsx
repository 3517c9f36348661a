import { Badge, Group, Progress, Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';

import type { JobProgressFragment } from '../graphql/generated/graphql';
import { CancelButton } from './CancelButton';
import { sentencesOf } from './end';
import { useJobName } from './JobName';
import classes from './Jobs.module.css';

const COLORS = { PENDING: 'gray', RUNNING: 'blue', SUCCESS: 'teal', FAILED: 'red', CANCELLED: 'gray' } as const;

/** How far a job is, how it ended, and the button that cancels it. `of` tells screen readers what it is about. */
export function JobProgress({ job, of }: { job: JobProgressFragment; of: string }) {
  const { t } = useTranslation('jobs');
  const name = `${useJobName(job)}: ${of}`;
  return (
    <div className={classes.progress}>
      <Group gap="xs" justify="space-between" wrap="nowrap">
        <Badge variant="light" tt="none" radius="sm" miw="max-content" color={COLORS[job.state]} role="status">
          {t(`state.${job.state}`)}
        </Badge>
        {!job.endedAt && <CancelButton job={job} name={name} />}
      </Group>
      {!job.endedAt && <JobBar job={job} name={name} mt={6} />}
      {sentencesOf(job, t).map((sentence) => (
        <Text key={sentence} size="sm">
          {sentence}
        </Text>
      ))}
    </div>
  );
}

/** The share of a job that is done. */
export function JobBar({ job, name, mt }: { job: JobProgressFragment; name: string; mt?: number }) {
  const { t } = useTranslation('jobs');
  return (
    <Progress.Root size="sm" mt={mt}>
      <Progress.Section value={Math.round(job.progress * 100)} aria-label={t('progress', { name })} />
    </Progress.Root>
  );
}
