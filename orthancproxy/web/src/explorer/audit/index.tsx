import { useApolloClient } from '@apollo/client/react';
import { Alert, Button, Group, Text } from '@mantine/core';
import { IconDownload, IconRefresh, IconX } from '@tabler/icons-react';
import { useEffect, useMemo, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useSearchParams } from 'wouter';
import { ErrorMessage } from '../app/ErrorMessage';
import { Loading } from '../app/Loading';
import { notify } from '../app/notify';
import { useLoadedSession } from '../app/session';
import { Page } from '../components/Page';
import type { AuditEventFilter } from '../graphql/generated/graphql';
import { formatNumber } from '../i18n/format';
import classes from './Audit.module.css';
import { EventTable } from './EventTable';
import { useEvents } from './events';
import { exportEvents, save } from './export';
import { Filters } from './Filters';
import { filterOf } from './filter';

export default function AuditPage() {
  const { t } = useTranslation('audit');
  const [parameters] = useSearchParams();
  const { viewer, server, may, error } = useLoadedSession();
  const title = parameters.get('study') ? 'titleOfStudy' : parameters.get('patient') ? 'titleOfPatient' : 'title';
  if (viewer && server && may('VIEW_AUDIT'))
    return <AuditLog title={t(title)} maxPageSize={server.limits.maxPageSize} />;
  return (
    <Page title={t(title)}>
      {error && <ErrorMessage error={error} />}
      {!error && !viewer && <Loading />}
      {viewer && <Alert role="alert">{t('forbidden')}</Alert>}
    </Page>
  );
}

function AuditLog({ title, maxPageSize }: { title: string; maxPageSize: number }) {
  const { t } = useTranslation('audit');
  const [parameters, setParameters] = useSearchParams();
  const filter = useMemo(() => filterOf(parameters), [parameters]);
  const { page, loading, error, refetch, fetchOlder } = useEvents(filter, maxPageSize);

  return (
    <Page
      wide
      title={title}
      actions={
        <Group gap="xs">
          <Button
            variant="default"
            leftSection={<IconRefresh size={16} aria-hidden="true" />}
            loading={loading && !!page}
            onClick={() => void refetch()}
          >
            {t('refresh')}
          </Button>
          <ExportButton filter={filter} pageSize={maxPageSize} disabled={!page?.nodes.length} />
        </Group>
      }
    >
      <Filters parameters={parameters} onChange={setParameters} />
      {error && <ErrorMessage error={error} retry={() => void refetch()} />}
      <div aria-live="polite">
        {loading && !page && <Loading />}
        {page && (
          <Text size="sm" c="dimmed">
            {page.nodes.length
              ? t('total', { count: page.totalCount, formatted: formatNumber(page.totalCount ?? 0) })
              : t('none')}
          </Text>
        )}
      </div>
      {page && page.nodes.length > 0 && (
        <EventTable
          events={page.nodes}
          onNarrow={(name, value) =>
            setParameters((before) => {
              const narrowed = new URLSearchParams(before);
              narrowed.set(name, value);
              return narrowed;
            })
          }
        />
      )}
      {page?.pageInfo.hasNextPage && (
        <Button
          variant="default"
          className={classes.older}
          loading={loading}
          onClick={() => fetchOlder().catch(notify.error)}
        >
          {t('older')}
        </Button>
      )}
    </Page>
  );
}

interface ExportButtonProps {
  filter: AuditEventFilter;
  pageSize: number;
  disabled: boolean;
}

function ExportButton({ filter, pageSize, disabled }: ExportButtonProps) {
  const { t } = useTranslation('audit');
  const client = useApolloClient();
  const [progress, setProgress] = useState<{ done: number; total: number }>();
  const abort = useRef<AbortController>(undefined);
  useEffect(() => () => abort.current?.abort(), []);

  async function run() {
    const controller = new AbortController();
    abort.current = controller;
    const { signal } = controller;
    setProgress({ done: 0, total: 0 });
    try {
      const file = await exportEvents(client, filter, {
        pageSize,
        signal,
        onPage: (done, total) => setProgress({ done, total }),
        t,
      });
      save(file, `audit-${new Date().toISOString().slice(0, 19).replaceAll(':', '')}.csv`);
      notify.success(t('exported'));
    } catch (error) {
      if (!signal.aborted) notify.error(error as Error);
    }
    setProgress(undefined);
  }

  if (!progress)
    return (
      <Button leftSection={<IconDownload size={16} />} disabled={disabled} onClick={run}>
        {t('export')}
      </Button>
    );
  return (
    <Button
      variant="light"
      leftSection={<IconX size={16} />}
      aria-label={t('cancel')}
      onClick={() => abort.current?.abort()}
    >
      {t('exporting', { done: formatNumber(progress.done), total: formatNumber(progress.total) })}
    </Button>
  );
}
