import { useQuery } from '@apollo/client/react';
import { Alert, Button, Text } from '@mantine/core';
import { useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';

import { ErrorMessage } from '../app/ErrorMessage';
import { Loading } from '../app/Loading';
import { notify } from '../app/notify';
import { useLoadedSession, useSession } from '../app/session';
import { ListChoice, useListChoice } from '../components/ListChoice';
import { Page } from '../components/Page';
import type { ShareFilter, StudyCellFragment } from '../graphql/generated/graphql';
import { SHARED_STUDIES, SHARES, type Share } from './operations';
import { RevokeDialog } from './RevokeDialog';
import classes from './Shares.module.css';
import { ShareTable } from './ShareTable';

const MAX_SHOWN_AT_ONCE = 50;

/** The caller's share links, or those of everybody, newest first; the URL holds which of them. */
export default function SharesPage() {
  const { t } = useTranslation('shares');
  const { viewer, server, may, error } = useLoadedSession();
  return (
    <Page wide title={t('title')}>
      {error && <ErrorMessage error={error} />}
      {!error && !viewer && <Loading />}
      {viewer && !may('SHARE') && <Alert role="alert">{t('forbidden')}</Alert>}
      {viewer && server && may('SHARE') && (
        <Shares
          username={viewer.username ?? ''}
          isConfined={viewer.scopes.length > 0}
          pageSize={Math.min(MAX_SHOWN_AT_ONCE, server.limits.maxPageSize)}
        />
      )}
    </Page>
  );
}

interface SharesProps {
  username: string;
  /** Whether the caller has an access scope: then there are only the caller's own links. */
  isConfined: boolean;
  pageSize: number;
}

function Shares({ username, isConfined, pageSize }: SharesProps) {
  const { t } = useTranslation('shares');
  const parts = { all: t('all'), open: t('open'), ended: t('ended') };
  const { shown, ...chosen } = useListChoice(parts);
  const isEveryones = chosen.isEveryones && !isConfined;
  const filter: ShareFilter = {
    ...(shown !== 'all' && { isOpen: shown === 'open' }),
    ...(!isEveryones && { createdBy: username }),
  };
  const { data, loading, error, refetch, fetchMore } = useQuery(SHARES, {
    variables: { filter, first: pageSize },
    fetchPolicy: 'cache-and-network',
  });
  const page = data?.shares;
  const studies = useStudies(page?.nodes ?? []);
  const [toRevoke, setToRevoke] = useState<Share>();

  function showMore(): void {
    fetchMore({
      variables: { after: page?.pageInfo.endCursor },
      updateQuery: (previous, { fetchMoreResult }) => ({
        shares: { ...fetchMoreResult.shares, nodes: [...previous.shares.nodes, ...fetchMoreResult.shares.nodes] },
      }),
    }).catch(notify.error);
  }

  return (
    <>
      <Text c="dimmed" size="sm" mb="md">
        {t('hint')}
      </Text>
      <ListChoice label={t('which')} parts={parts} everyone={isConfined ? undefined : t('everyone')} />
      {error && <ErrorMessage error={error} retry={() => void refetch()} />}
      {loading && !page && <Loading />}
      {page?.nodes.length === 0 && <Text role="status">{t('none')}</Text>}
      {page && page.nodes.length > 0 && (
        <ShareTable shares={page.nodes} studies={studies} withAuthors={isEveryones} onRevoke={setToRevoke} />
      )}
      {page?.pageInfo.hasNextPage && (
        <Button variant="default" mt="md" className={classes.more} loading={loading} onClick={showMore}>
          {t('more')}
        </Button>
      )}
      <RevokeDialog
        share={toRevoke}
        study={toRevoke && studies?.get(toRevoke.studyOrthancId)}
        onClose={() => setToRevoke(undefined)}
      />
    </>
  );
}

/** The shared studies that the archive still has, by Orthanc id; undefined until that is known. */
function useStudies(shares: readonly Share[]): ReadonlyMap<string, StudyCellFragment> | undefined {
  const { may } = useSession();
  const uids = [...new Set(shares.map(({ studyInstanceUID }) => studyInstanceUID))].filter(Boolean);
  const { data, previousData } = useQuery(SHARED_STUDIES, {
    variables: { uids, first: Math.max(uids.length, 1) },
    skip: uids.length === 0 || !may('VIEW'),
  });
  const nodes = (data ?? previousData)?.studies.nodes;
  return useMemo(() => nodes && new Map(nodes.map((study) => [study.orthancId, study])), [nodes]);
}
