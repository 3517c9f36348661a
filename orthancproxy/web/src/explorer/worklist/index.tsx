import { Button, Stack, Text, Title } from '@mantine/core';
import { IconMoodEmpty, IconSearchOff } from '@tabler/icons-react';
import { useCallback, useMemo, useRef } from 'react';
import { useTranslation } from 'react-i18next';
import { useLocation, useSearch } from 'wouter';

import { ErrorMessage } from '../app/ErrorMessage';
import { Loading } from '../app/Loading';
import { worklistPath } from '../app/routes';
import { DEFAULT_COLUMNS } from './columnNames';
import { Grid } from './Grid';
import { DEFAULT_STATE, formatState, isFiltered, parseState, type WorklistState } from './state';
import { Toolbar } from './Toolbar';
import { useWorklist } from './useWorklist';
import classes from './Worklist.module.css';
import type { Page } from './worklist';

/** The studies of the archive, live; the URL holds the search, the filters, the order and the columns. */
export default function WorklistPage() {
  const { t } = useTranslation('worklist');
  const query = useSearch();
  const [, navigate] = useLocation();
  const state = useMemo(() => parseState(query), [query]);
  const { worklist, snapshot } = useWorklist(state);
  const shown = useRef<Page | null>(null);
  if (snapshot.list) shown.current = snapshot.list;
  const isStale = !snapshot.list;
  const list = snapshot.list ?? (snapshot.error ? null : shown.current);

  const change = useCallback(
    (part: Partial<WorklistState>, options?: { replace: boolean }) => {
      const parameters = Object.fromEntries(new URLSearchParams(formatState({ ...state, ...part })));
      navigate(worklistPath(parameters), options);
    },
    [state, navigate],
  );
  const reset = () => change({ ...DEFAULT_STATE, sort: state.sort, columns: state.columns });

  return (
    <section className={classes.page} aria-labelledby="worklist-title">
      <Toolbar state={state} change={change} reset={reset} list={list} isLive={snapshot.isLive} />
      {!list && !snapshot.error && <Loading />}
      {!list && snapshot.error && (
        <div className={classes.message}>
          <ErrorMessage error={snapshot.error} retry={() => void worklist.reload()} />
          {(isFiltered(state) || state.columns !== DEFAULT_COLUMNS) && (
            <Button variant="default" onClick={() => change(DEFAULT_STATE)}>
              {t('resetFilters')}
            </Button>
          )}
        </div>
      )}
      {list && list.rows.length === 0 && !isStale && <Nothing isFiltered={isFiltered(state)} reset={reset} />}
      {list && list.rows.length > 0 && (
        <Grid
          worklist={worklist}
          list={list}
          snapshot={snapshot}
          columnNames={state.columns}
          sort={state.sort}
          onSort={(sort) => change({ sort })}
          isStale={isStale}
        />
      )}
    </section>
  );
}

function Nothing({ isFiltered, reset }: { isFiltered: boolean; reset: () => void }) {
  const { t } = useTranslation('worklist');
  const Icon = isFiltered ? IconSearchOff : IconMoodEmpty;
  return (
    <Stack className={classes.message} align="center" gap="xs" role="status">
      <Icon size={40} stroke={1.2} className={classes.icon} aria-hidden="true" />
      <Title order={2} size="h4">
        {t(isFiltered ? 'noMatchTitle' : 'emptyTitle')}
      </Title>
      <Text c="dimmed">{t(isFiltered ? 'noMatchText' : 'emptyText')}</Text>
      {isFiltered && (
        <Button variant="default" mt="xs" onClick={reset}>
          {t('resetFilters')}
        </Button>
      )}
    </Stack>
  );
}
