import { useQuery } from '@apollo/client/react';

import { graphql } from '../graphql/generated';
import type { Action, SessionFragment } from '../graphql/generated/graphql';

export const CALLER = graphql(`
  fragment Caller on Viewer {
    username
    actions
    scopes {
      kind
      value
    }
  }
`);

export const SESSION = graphql(`
  fragment Session on Query {
    viewer {
      ...Caller
    }
    server {
      hasLabels
      trashDays
      limits {
        maxPageSize
        maxUploadFiles
        maxUploadBytes
      }
    }
  }
`);

const LOAD_SESSION = graphql(`
  query LoadSession {
    ...Session
  }
`);

export interface Session {
  /** Undefined until a query with the fragment `Session` has been answered. */
  viewer?: SessionFragment['viewer'];
  server?: SessionFragment['server'];
  /** Whether the caller has a permission; false until that is known. The server decides all the same. */
  may(action: Action): boolean;
}

/** The caller and the server, from the cache: a page's first query spreads `...Session`, so that it is one request. */
export function useSession(): Session {
  return asSession(useQuery(LOAD_SESSION, { fetchPolicy: 'cache-only' }).data);
}

/** The same, for pages without a query of their own: it is fetched if the cache has none. */
export function useLoadedSession(): Session & { error?: Error } {
  const { data, error } = useQuery(LOAD_SESSION);
  return { ...asSession(data), error };
}

function asSession(data: SessionFragment | undefined): Session {
  return {
    viewer: data?.viewer,
    server: data?.server,
    may: (action) => data?.viewer.actions.includes(action) ?? false,
  };
}
