import { useQuery } from '@apollo/client/react';
import { Alert, Anchor, Button, Group, SegmentedControl, Switch, Table, Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { Link, useSearchParams } from 'wouter';

import { ErrorMessage } from '../app/ErrorMessage';
import { Loading } from '../app/Loading';
import { notify } from '../app/notify';
import { studyPath } from '../app/routes';
import { useLoadedSession } from '../app/session';
import { Page } from '../components/Page';
import { PersonName } from '../components/PersonName';
import type { JobFilter } from '../graphql/generated/graphql';
import { formatDate, formatDateTime } from '../i18n/format';
import { JobProgress } from './JobProgress';
import classes from './Jobs.module.css';
import { JOBS, type Job } from './operations';
import { useJobUpdates } from './useJobUpdates';

const MAX_SHOWN_AT_ONCE = 50;
/** Browsers have six connections to a server without HTTP/2. */
const MAX_WATCHED = 2;
const SHOWN = ['all', 'unfinished', 'ended'] as const;

/** The caller's jobs, or those of everybody, newest first; the URL holds which of them. */
export default function JobsPage() {
  const { t } = useTranslation('jobs');
  const { viewer, server, may, error } = useLoadedSession();
  return (
    <Page wide title={t('title')}>
      {error && <ErrorMessage error={error} />}
      {!error && !viewer && <Loading />}
      {viewer && !may('VIEW') && <Alert role="alert">{t('forbidden')}</Alert>}
      {viewer && server && may('VIEW') && (
        <Jobs
          username={viewer.username ?? ''}
          managesJobs={may('MANAGE_JOBS')}
          pageSize={Math.min(MAX_SHOWN_AT_ONCE, server.limits.maxPageSize)}
        />
      )}
    </Page>
  );
}

function Jobs({ username, managesJobs, pageSize }: { username: string; managesJobs: boolean; pageSize: number }) {
  const { t } = useTranslation('jobs');
  const [parameters, setParameters] = useSearchParams();
  const shown = SHOWN.find((name) => name === parameters.get('show')) ?? 'all';
  const isEveryones = parameters.has('everyone') && managesJobs;
  const filter: JobFilter = {
    ...(shown !== 'all' && { isUnfinished: shown === 'unfinished' }),
    ...(!isEveryones && { createdBy: username }),
  };
  const { data, loading, error, refetch, fetchMore } = useQuery(JOBS, {
    variables: { filter, first: pageSize },
    fetchPolicy: 'cache-and-network',
  });
  const page = data?.jobs;
  const watched = (page?.nodes ?? []).filter(({ endedAt }) => !endedAt).slice(0, MAX_WATCHED);

  function set(name: string, value: string): void {
    setParameters((before) => {
      const next = new URLSearchParams(before);
      if (value) next.set(name, value);
      else next.delete(name);
      return next;
    });
  }

  function showMore(): void {
    fetchMore({
      variables: { after: page?.pageInfo.endCursor },
      updateQuery: (previous, { fetchMoreResult }) => ({
        jobs: { ...fetchMoreResult.jobs, nodes: [...previous.jobs.nodes, ...fetchMoreResult.jobs.nodes] },
      }),
    }).catch(notify.error);
  }

  return (
    <>
      <Text c="dimmed" size="sm" mb="md">
        {t('hint')}
      </Text>
      <Group mb="md">
        <SegmentedControl
          aria-label={t('which')}
          value={shown}
          onChange={(value) => set('show', value === 'all' ? '' : value)}
          data={SHOWN.map((name) => ({ value: name, label: t(name) }))}
        />
        {managesJobs && (
          <Switch
            label={t('everyone')}
            checked={isEveryones}
            onChange={({ currentTarget }) => set('everyone', currentTarget.checked ? 'yes' : '')}
          />
        )}
      </Group>
      {error && <ErrorMessage error={error} retry={() => void refetch()} />}
      {loading && !page && <Loading />}
      {page?.nodes.length === 0 && <Text role="status">{t('none')}</Text>}
      {page && page.nodes.length > 0 && (
        <Table className={classes.table} verticalSpacing="xs">
          <Table.Thead>
            <Table.Tr>
              <Table.Th>{t('column.study')}</Table.Th>
              <Table.Th>{t('column.destination')}</Table.Th>
              {isEveryones && <Table.Th>{t('column.by')}</Table.Th>}
              <Table.Th>{t('column.begun')}</Table.Th>
              <Table.Th>{t('column.state')}</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {page.nodes.map((job) => (
              <JobRow key={job.id} job={job} withAuthor={isEveryones} />
            ))}
          </Table.Tbody>
        </Table>
      )}
      {watched.map((job) => (
        <Watch key={job.id} job={job} onEnd={() => void refetch()} />
      ))}
      {page?.pageInfo.hasNextPage && (
        <Button variant="default" mt="md" className={classes.more} loading={loading} onClick={showMore}>
          {t('more')}
        </Button>
      )}
    </>
  );
}

function Watch({ job, onEnd }: { job: Job; onEnd: () => void }) {
  useJobUpdates(job, onEnd);
  return null;
}

function JobRow({ job, withAuthor }: { job: Job; withAuthor: boolean }) {
  const { t } = useTranslation('jobs');
  const { study } = job;
  const title = study?.description || t(`several.${job.level}`);
  return (
    <Table.Tr>
      <Table.Td className={classes.study}>
        {study ? (
          <>
            <Anchor component={Link} href={studyPath(study.orthancId)} inherit>
              <bdi dir="auto">{title}</bdi>
            </Anchor>
            <div className={classes.patient}>
              <PersonName name={study.patient.name} />
              <span>{formatDate(study.studyDate)}</span>
            </div>
          </>
        ) : (
          title
        )}
      </Table.Td>
      <Table.Td data-label={t('column.destination')}>
        <bdi>{job.destination}</bdi>
      </Table.Td>
      {withAuthor && (
        <Table.Td data-label={t('column.by')}>
          <bdi>{job.createdBy ?? t('anonymous')}</bdi>
        </Table.Td>
      )}
      <Table.Td data-label={t('column.begun')} className={classes.moment}>
        {formatDateTime(job.createdAt)}
      </Table.Td>
      <Table.Td data-label={t('column.state')}>
        <JobProgress job={job} name={`${title} → ${job.destination}`} />
      </Table.Td>
    </Table.Tr>
  );
}
