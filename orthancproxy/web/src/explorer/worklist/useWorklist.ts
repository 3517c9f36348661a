import type { ApolloClient } from '@apollo/client';
import { useApolloClient } from '@apollo/client/react';
import { useEffect, useMemo, useSyncExternalStore } from 'react';
import { WorklistChanged, WorklistChanges, WorklistFirstPage, WorklistNextPage } from './operations';
import { formatState, keywords, studyFilter, studyOrder, type WorklistState } from './state';
import { type Snapshot, type Source, TIMES, Worklist } from './worklist';

const NEXT_PAGE = 200;

// kept for the way back from a study: the rows and the place in the list
let last: { key: string; worklist: Worklist } | null = null;

/** The live worklist of a state. */
export function useWorklist(state: WorklistState): { worklist: Worklist; snapshot: Snapshot } {
  const client = useApolloClient();
  const tags = keywords(state).sort();
  const key = `${formatState({ ...state, columns: [] })} ${new Date().toDateString()} ${tags}`;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the key stands for the state
  const worklist = useMemo(() => {
    if (last?.key !== key) {
      last = { key, worklist: new Worklist(source(client, state, tags), state.sort) };
    }
    return last.worklist;
  }, [client, key]);
  useEffect(() => {
    worklist.open();
    const timer = setInterval(() => document.visibilityState === 'visible' && worklist.refresh(), TIMES.refresh);
    return () => {
      clearInterval(timer);
      worklist.close();
    };
  }, [worklist]);
  return { worklist, snapshot: useSyncExternalStore(worklist.subscribe, worklist.getSnapshot) };
}

function source(client: ApolloClient, state: WorklistState, tags: string[]): Source {
  const filter = studyFilter(state, new Date());
  const shown = { keywords: tags, withTags: tags.length > 0 };
  const listed = { filter, orderBy: studyOrder(state.sort), ...shown };
  return {
    async firstPage(first) {
      const data = await read(
        client.query({ query: WorklistFirstPage, variables: { ...listed, first }, fetchPolicy: 'network-only' }),
      );
      const { nodes, pageInfo, totalCount } = data.studies;
      return {
        rows: nodes,
        endCursor: pageInfo.endCursor ?? null,
        hasNextPage: pageInfo.hasNextPage,
        total: totalCount,
      };
    },
    async nextPage(after) {
      // the normalised cache takes longer than a frame for so many rows, and nobody else reads them
      const variables = { ...listed, first: NEXT_PAGE, after };
      const data = await read(client.query({ query: WorklistNextPage, variables, fetchPolicy: 'no-cache' }));
      const { nodes, pageInfo } = data.studies;
      return { rows: nodes, endCursor: pageInfo.endCursor ?? null, hasNextPage: pageInfo.hasNextPage };
    },
    async changed(studyInstanceUIDs) {
      const variables = {
        ...shown,
        filter,
        changed: { ...filter, studyInstanceUIDs },
        withChanged: studyInstanceUIDs.length > 0,
        first: Math.max(studyInstanceUIDs.length, 1),
      };
      const data = await read(client.query({ query: WorklistChanged, variables, fetchPolicy: 'network-only' }));
      return { found: data.changed?.nodes ?? [], total: data.studies.totalCount };
    },
    follow(after, next, end) {
      const subscription = client.subscribe({ query: WorklistChanges, variables: { after } }).subscribe({
        next({ data, error }) {
          if (data) next(data.archiveChanges);
          else if (error) end(error);
        },
        error: end,
        complete: () => end(null),
      });
      return () => subscription.unsubscribe();
    },
  };
}

async function read<Data>(result: Promise<{ data?: Data; error?: unknown }>): Promise<Data> {
  const { data, error } = await result;
  if (!data) throw error ?? new Error('The answer has no data.');
  return data;
}
