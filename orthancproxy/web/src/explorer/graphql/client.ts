import { ApolloClient, ApolloLink, HttpLink, InMemoryCache } from '@apollo/client';
import { CombinedGraphQLErrors, ServerError } from '@apollo/client/errors';
import { SetContextLink } from '@apollo/client/link/context';
import { ErrorLink } from '@apollo/client/link/error';
import { OperationTypeNode } from 'graphql';

import { csrfHeader } from '../../csrf';
import { config } from '../app/config';
import { setLoginNeeded } from '../app/login';
import i18n from '../i18n';
import { EventStreamLink } from './EventStreamLink';

/** Headers of every request to the gateway: the CSRF token of the session, and the user's language. */
export function requestHeaders(): Record<string, string> {
  return { 'Accept-Language': i18n.language, ...csrfHeader() };
}

const headers = new SetContextLink((context) => ({ headers: { ...context.headers, ...requestHeaders() } }));

const authentication = new ErrorLink(({ error }) => {
  const isUnauthenticated = CombinedGraphQLErrors.is(error)
    ? error.errors.some(({ extensions }) => extensions?.code === 'UNAUTHENTICATED')
    : ServerError.is(error) && error.statusCode === 401;
  if (isUnauthenticated) setLoginNeeded(true);
});

const transport = ApolloLink.split(
  ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
  new EventStreamLink(config.graphqlUrl, requestHeaders),
  new HttpLink({ uri: config.graphqlUrl, credentials: 'same-origin' }),
);

export const client = new ApolloClient({
  link: ApolloLink.from([authentication, headers, transport]),
  cache: new InMemoryCache({
    possibleTypes: { Node: ['Patient', 'Study', 'Series', 'Instance', 'Job'] },
    typePolicies: {
      // one each; Patient, Study, Series, Instance and Job are known by their `id`
      Viewer: { keyFields: [] },
      Server: { keyFields: [] },
      ServerLimits: { keyFields: [] },
      ArchiveIndex: { keyFields: [] },
      PersonName: { merge: true },
      UploadBatch: { keyFields: ['uploadKey'] },
    },
  }),
  defaultOptions: { watchQuery: { notifyOnNetworkStatusChange: true } },
});
