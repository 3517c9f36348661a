import { useMutation, useQuery } from '@apollo/client/react';
import { Anchor, Button, Group, Table, Text } from '@mantine/core';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Link } from 'wouter';

import { newMutationId } from '../app/mutationId';
import { notify } from '../app/notify';
import { studyPath } from '../app/routes';
import { PersonName } from '../components/PersonName';
import type { JobProgressFragment } from '../graphql/generated/graphql';
import { formatDate, formatNumber } from '../i18n/format';
import { JobProgress } from '../jobs/JobProgress';
import { useBeginning, useBegunHere } from '../jobs/unfinished';
import { useJobUpdates } from '../jobs/useJobUpdates';
import { ARRIVED, type FoundStudy, RETRIEVE } from './operations';
import classes from './Retrieve.module.css';

/** Browsers have six connections to a server without HTTP/2. */
const MAX_WATCHED = 2;

interface FoundProps {
  studies: readonly FoundStudy[];
  source: string;
}

/** The studies that were found, each with a button that retrieves it, or the job that does. */
export function Found({ studies, source }: FoundProps) {
  const { t } = useTranslation('retrieve');
  const [jobs, setJobs] = useState<Readonly<Record<string, JobProgressFragment>>>({});
  const watched = Object.keys(jobs)
    .filter((uid) => !jobs[uid]?.endedAt)
    .slice(0, MAX_WATCHED);
  if (studies.length === 0) return <Text role="status">{t('none')}</Text>;
  return (
    <>
      <Text role="status" size="sm" mb="xs">
        {t('found', { count: studies.length, number: formatNumber(studies.length) })}
      </Text>
      <Table className={classes.table} verticalSpacing="xs" aria-label={t('results', { source })}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t('column.patient')}</Table.Th>
            <Table.Th>{t('column.study')}</Table.Th>
            <Table.Th>{t('column.date')}</Table.Th>
            <Table.Th>{t('column.contents')}</Table.Th>
            <Table.Th>{t('column.here')}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {studies.map((study) => (
            <Row
              key={`${study.studyInstanceUID} ${study.patientId}`}
              study={study}
              source={source}
              job={jobs[study.studyInstanceUID]}
              isWatched={watched.includes(study.studyInstanceUID)}
              onChange={(job) => setJobs((before) => ({ ...before, [study.studyInstanceUID]: job }))}
            />
          ))}
        </Table.Tbody>
      </Table>
    </>
  );
}

interface RowProps {
  study: FoundStudy;
  source: string;
  job?: JobProgressFragment;
  isWatched: boolean;
  onChange: (job: JobProgressFragment) => void;
}

function Row({ study, source, job, isWatched, onChange }: RowProps) {
  const { t } = useTranslation('retrieve');
  const title = study.description || t('noDescription');
  const count = study.instancesCount;
  return (
    <Table.Tr>
      <Table.Td className={classes.patient}>
        <PersonName name={study.name} />
        <div className={classes.further}>
          <bdi>{study.patientId}</bdi>
          <span>{formatDate(study.birthDate)}</span>
        </div>
      </Table.Td>
      <Table.Td data-label={t('column.study')} className={classes.study}>
        <bdi dir="auto">{title}</bdi>
        <div className={classes.further}>
          <bdi>{study.accessionNumber}</bdi>
        </div>
      </Table.Td>
      <Table.Td data-label={t('column.date')} className={classes.date}>
        {formatDate(study.studyDate)}
      </Table.Td>
      <Table.Td data-label={t('column.contents')}>
        {study.modalities.join(', ')}
        {count !== null && (
          <div className={classes.further}>{t('instances', { count, number: formatNumber(count) })}</div>
        )}
      </Table.Td>
      <Table.Td data-label={t('column.here')} className={classes.here}>
        {job && <RowJob job={job} of={title} isWatched={isWatched} onEnd={onChange} />}
        {job?.state === 'SUCCESS' && <Arrived jobId={job.id} />}
        {(!job || job.state === 'FAILED' || job.state === 'CANCELLED') && (
          <RetrieveButton study={study} source={source} name={title} onBegun={onChange} />
        )}
      </Table.Td>
    </Table.Tr>
  );
}

interface RowJobProps {
  job: JobProgressFragment;
  of: string;
  onEnd: RowProps['onChange'];
}

function RowJob({ job, of, isWatched, onEnd }: RowJobProps & Pick<RowProps, 'isWatched'>) {
  useBegunHere(job);
  return isWatched ? <WatchedJob job={job} of={of} onEnd={onEnd} /> : <JobProgress job={job} of={of} />;
}

function WatchedJob({ job, of, onEnd }: RowJobProps) {
  const now = useJobUpdates(job);
  // biome-ignore lint/correctness/useExhaustiveDependencies: once, when it has ended; another one is watched then
  useEffect(() => {
    if (now.endedAt) onEnd(now);
  }, [now.endedAt]);
  return <JobProgress job={now} of={of} />;
}

function Arrived({ jobId }: { jobId: string }) {
  const { data } = useQuery(ARRIVED, { variables: { id: jobId }, fetchPolicy: 'network-only' });
  const study = data?.job?.study;
  return study ? <OpenStudy orthancId={study.orthancId} /> : null;
}

function OpenStudy({ orthancId }: { orthancId: string }) {
  const { t } = useTranslation('retrieve');
  return (
    <Anchor component={Link} href={studyPath(orthancId)} size="sm">
      {t('isHere')}
    </Anchor>
  );
}

interface RetrieveButtonProps {
  study: FoundStudy;
  source: string;
  name: string;
  onBegun: RowProps['onChange'];
}

function RetrieveButton({ study, source, name, onBegun }: RetrieveButtonProps) {
  const { t } = useTranslation('retrieve');
  // a click that is sent twice begins one job
  const [clientMutationId] = useState(newMutationId);
  const [retrieve, { loading }] = useMutation(
    RETRIEVE,
    useBeginning(({ retrieveFromModality }) => retrieveFromModality.job),
  );
  const text = t(study.study ? 'again' : 'retrieve');
  const input = { source, studyInstanceUIDs: [study.studyInstanceUID], clientMutationId };
  return (
    <Group gap="sm" wrap="nowrap">
      {study.study && <OpenStudy orthancId={study.study.orthancId} />}
      <Button
        variant="light"
        size="compact-sm"
        loading={loading}
        aria-label={`${text}: ${name}`}
        onClick={() =>
          retrieve({ variables: { input } })
            .then(({ data }) => data && onBegun(data.retrieveFromModality.job))
            .catch(notify.error)
        }
      >
        {text}
      </Button>
    </Group>
  );
}
