import { useMutation, useQuery } from '@apollo/client/react';
import { Alert, Button, Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';

import { ErrorMessage } from '../app/ErrorMessage';
import { Loading } from '../app/Loading';
import { notify } from '../app/notify';
import { useLoadedSession } from '../app/session';
import { type ListColumn, ListTable } from '../components/ListTable';
import { Page } from '../components/Page';
import { StudyCell } from '../components/StudyCell';
import { formatDateTime, formatNumber } from '../i18n/format';
import classes from '../jobs/Jobs.module.css';
import { RESTORE, TRASH, type TrashedStudy } from './operations';

const MAX_SHOWN_AT_ONCE = 50;

/** The deleted studies that can be restored. */
export default function TrashPage() {
  const { t } = useTranslation('trash');
  const { viewer, server, may, error } = useLoadedSession();
  return (
    <Page wide title={t('title')}>
      {error && <ErrorMessage error={error} />}
      {!error && !viewer && <Loading />}
      {viewer && !may('DELETE') && <Alert role="alert">{t('forbidden')}</Alert>}
      {server && may('DELETE') && (
        <Trash days={server.trashDays} pageSize={Math.min(MAX_SHOWN_AT_ONCE, server.limits.maxPageSize)} />
      )}
    </Page>
  );
}

function Trash({ days, pageSize }: { days: number; pageSize: number }) {
  const { t } = useTranslation('trash');
  const { data, loading, error, refetch, fetchMore } = useQuery(TRASH, {
    variables: { first: pageSize },
    fetchPolicy: 'cache-and-network',
  });
  const page = data?.trash;
  const columns: ListColumn<TrashedStudy>[] = [
    {
      title: t('column.study'),
      cell: (study) => (
        <StudyCell study={study} untitled={t('study')} isHidden>
          <bdi dir="auto">{study.patient.patientId}</bdi>
        </StudyCell>
      ),
    },
    { title: t('column.instances'), cell: (study) => formatNumber(study.instancesCount) },
    {
      title: t('column.at'),
      cell: (study) => (study.trashedAt ? formatDateTime(study.trashedAt) : t('unknown')),
      isMoment: true,
    },
    { title: t('column.by'), cell: (study) => <bdi>{study.trashedBy ?? t('unknown')}</bdi> },
    {
      title: t('column.restore'),
      cell: (study) => <RestoreButton study={study} onRestored={() => void refetch()} />,
      isUntitled: true,
    },
  ];

  function showMore(): void {
    fetchMore({
      variables: { after: page?.pageInfo.endCursor },
      updateQuery: (previous, { fetchMoreResult }) => ({
        trash: { ...fetchMoreResult.trash, nodes: [...previous.trash.nodes, ...fetchMoreResult.trash.nodes] },
      }),
    }).catch(notify.error);
  }

  return (
    <>
      <Text c="dimmed" size="sm" mb="md">
        {days > 0 ? t('hint', { count: days, number: formatNumber(days) }) : t('off')}
      </Text>
      {error && <ErrorMessage error={error} retry={() => void refetch()} />}
      {loading && !page && <Loading />}
      {page?.nodes.length === 0 && <Text role="status">{t('none')}</Text>}
      {page && page.nodes.length > 0 && <ListTable columns={columns} rows={page.nodes} />}
      {page?.pageInfo.hasNextPage && (
        <Button variant="default" mt="md" className={classes.more} loading={loading} onClick={showMore}>
          {t('more')}
        </Button>
      )}
    </>
  );
}

interface RestoreButtonProps {
  study: TrashedStudy;
  onRestored: () => void;
}

function RestoreButton({ study, onRestored }: RestoreButtonProps) {
  const { t } = useTranslation('trash');
  const [restore, { loading }] = useMutation(RESTORE);

  async function confirm(): Promise<void> {
    await restore({ variables: { orthancId: study.orthancId } });
    notify.success(t('restored'));
    onRestored();
  }

  return (
    <Button
      size="xs"
      variant="default"
      aria-label={t('restoreStudy', { name: study.description || t('study') })}
      loading={loading}
      onClick={() => void confirm().catch(notify.error)}
    >
      {t('restore')}
    </Button>
  );
}
