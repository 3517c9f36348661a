import type { GraphiQLProps } from 'graphiql';

import { csrfHeader } from './csrf';

type Fetcher = GraphiQLProps['fetcher'];

/** Posts operations to the endpoint as the signed-in user, the way Django expects it. */
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
    // GraphQL errors come as JSON with any status; HTML is a proxy's error page or a sign-in form.
    if (!contentType.includes('json')) {
      const error = new Error(
        `${response.url} answered ${response.status} ${response.statusText} (${contentType}), not GraphQL.`,
      );
      // GraphiQL would show the stack in the result pane.
      delete error.stack;
      throw error;
    }
    return response.json();
  };
}
