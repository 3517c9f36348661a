import { useQuery } from '@apollo/client/react';
import { Alert, Button, Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';

import { ErrorMessage } from '../app/ErrorMessage';
import { Loading } from '../app/Loading';
import { notify } from '../app/notify';
import { useLoadedSession } from '../app/session';
import { ListChoice, useListChoice } from '../components/ListChoice';
import { type ListColumn, ListTable } from '../components/ListTable';
import { Page } from '../components/Page';
import { StudyCell } from '../components/StudyCell';
import type { JobFilter } from '../graphql/generated/graphql';
import { formatDateTime } from '../i18n/format';
import { JobName } from './JobName';
import { JobProgress } from './JobProgress';
import classes from './Jobs.module.css';
import { JOBS, type Job } from './operations';
import { useJobUpdates } from './useJobUpdates';

const MAX_SHOWN_AT_ONCE = 50;
/** Browsers have six connections to a server without HTTP/2. */
const MAX_WATCHED = 2;

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
  const parts = { all: t('all'), unfinished: t('unfinished'), ended: t('ended') };
  const { shown, ...chosen } = useListChoice(parts);
  const isEveryones = chosen.isEveryones && managesJobs;
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
      <ListChoice label={t('which')} parts={parts} everyone={managesJobs ? t('everyone') : undefined} />
      {error && <ErrorMessage error={error} retry={() => void refetch()} />}
      {loading && !page && <Loading />}
      {page?.nodes.length === 0 && <Text role="status">{t('none')}</Text>}
      {page && page.nodes.length > 0 && <JobTable jobs={page.nodes} withAuthors={isEveryones} />}
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

function JobTable({ jobs, withAuthors }: { jobs: readonly Job[]; withAuthors: boolean }) {
  const { t } = useTranslation('jobs');
  const titleOf = ({ study, target }: Job) => study?.description || t(`several.${target.level}`);
  const columns: ListColumn<Job>[] = [
    {
      title: t('column.study'),
      cell: (job) => (job.study ? <StudyCell study={job.study} untitled={titleOf(job)} /> : titleOf(job)),
    },
    { title: t('column.what'), cell: (job) => <JobName job={job} /> },
    ...(withAuthors
      ? [{ title: t('column.by'), cell: ({ createdBy }: Job) => <bdi>{createdBy ?? t('anonymous')}</bdi> }]
      : []),
    { title: t('column.begun'), cell: ({ createdAt }) => formatDateTime(createdAt), isMoment: true },
    { title: t('column.state'), cell: (job) => <JobProgress job={job} of={titleOf(job)} /> },
  ];
  return <ListTable columns={columns} rows={jobs} />;
}
