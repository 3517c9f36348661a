import { useMutation, useQuery } from '@apollo/client/react';
import { Alert, Button, Table, Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';

import { ErrorMessage } from '../app/ErrorMessage';
import { Loading } from '../app/Loading';
import { notify } from '../app/notify';
import { useLoadedSession } from '../app/session';
import { Page } from '../components/Page';
import { PersonName } from '../components/PersonName';
import { formatDate, formatDateTime, formatNumber } from '../i18n/format';
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
      {page && page.nodes.length > 0 && (
        <Table className={classes.table} verticalSpacing="xs">
          <Table.Thead>
            <Table.Tr>
              <Table.Th>{t('column.study')}</Table.Th>
              <Table.Th>{t('column.instances')}</Table.Th>
              <Table.Th>{t('column.at')}</Table.Th>
              <Table.Th>{t('column.by')}</Table.Th>
              <Table.Th>{t('column.restore')}</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {page.nodes.map((study) => (
              <StudyRow key={study.id} study={study} onRestored={() => void refetch()} />
            ))}
          </Table.Tbody>
        </Table>
      )}
      {page?.pageInfo.hasNextPage && (
        <Button variant="default" mt="md" className={classes.more} loading={loading} onClick={showMore}>
          {t('more')}
        </Button>
      )}
    </>
  );
}

function StudyRow({ study, onRestored }: { study: TrashedStudy; onRestored: () => void }) {
  const { t } = useTranslation('trash');
  const [restore, { loading }] = useMutation(RESTORE);
  const title = study.description || t('study');

  async function confirm(): Promise<void> {
    await restore({ variables: { orthancId: study.orthancId } });
    notify.success(t('restored'));
    onRestored();
  }

  return (
    <Table.Tr>
      <Table.Td className={classes.study}>
        <bdi dir="auto">{title}</bdi>
        <div className={classes.patient}>
          <PersonName name={study.patient.name} />
          <bdi dir="auto">{study.patient.patientId}</bdi>
          <span>{formatDate(study.studyDate)}</span>
        </div>
      </Table.Td>
      <Table.Td data-label={t('column.instances')}>{formatNumber(study.instancesCount)}</Table.Td>
      <Table.Td data-label={t('column.at')} className={classes.moment}>
        {study.trashedAt ? formatDateTime(study.trashedAt) : t('unknown')}
      </Table.Td>
      <Table.Td data-label={t('column.by')}>
        <bdi>{study.trashedBy ?? t('unknown')}</bdi>
      </Table.Td>
      <Table.Td>
        <Button
          size="xs"
          variant="default"
          aria-label={t('restoreStudy', { name: title })}
          loading={loading}
          onClick={() => void confirm().catch(notify.error)}
        >
          {t('restore')}
        </Button>
      </Table.Td>
    </Table.Tr>
  );
}
