import type { GraphiQLProps } from 'graphiql';

import { csrfHeader } from './csrf';

type Fetcher = GraphiQLProps['fetcher'];

/** Returns a function that posts operations to the endpoint, with the session of the user. */
export function createFetcher(endpoint: string): Fetcher {
  return async (operation, options) => {
    const response = await fetch(endpoint, {
      method: 'POST',
      credentials: 'same-origin',
      headers: {
        Accept: 'application/graphql-response+json, application/json;q=0.9',
        'Content-Type': 'application/json',
        ...csrfHeader(),
        ...options?.headers,
      },
      body: JSON.stringify(operation),
    });
    const contentType = response.headers.get('Content-Type') ?? 'no content type';
    // GraphQL errors are JSON with any status; HTML is the error page or login form of a proxy
    if (!contentType.includes('json')) {
      const error = new Error(
        `${response.url} responded with ${response.status} ${response.statusText} (${contentType}), not with GraphQL.`,
      );
      // GraphiQL would show the stack in the result
      delete error.stack;
      throw error;
    }
    return response.json();
  };
}
