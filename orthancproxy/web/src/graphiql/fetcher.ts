import type { GraphiQLProps } from 'graphiql';
import type { ExecutionResult } from 'graphql';

import { csrfHeader } from '../csrf';

type Fetcher = GraphiQLProps['fetcher'];

/** Returns a function that posts operations to the endpoint, with the session of the user. */
export function createFetcher(endpoint: string): Fetcher {
  return async (operation, options) => {
    const response = await fetch(endpoint, {
      method: 'POST',
      credentials: 'same-origin',
      headers: {
        // only subscriptions are answered with a stream
        Accept: 'application/graphql-response+json, application/json;q=0.9, text/event-stream;q=0.8',
        'Content-Type': 'application/json',
        ...csrfHeader(),
        ...options?.headers,
      },
      body: JSON.stringify(operation),
    });
    const contentType = response.headers.get('Content-Type') ?? 'no content type';
    if (contentType.startsWith('text/event-stream') && response.body) {
      return results(response.body);
    }
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

/** Returns the results of a subscription; its `return` ends the connection. */
function results(body: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncIterableIterator<ExecutionResult> {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  const events = readEvents(reader);
  return {
    next: () => events.next(),
    // a generator that waits for an event would end with that event only
    async return() {
      await reader.cancel();
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

/** Yields the data of the events `next` of graphql-sse. */
async function* readEvents(reader: ReadableStreamDefaultReader<string>): AsyncGenerator<ExecutionResult> {
  let received = '';
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    const events = (received + part.value).split('\n\n');
    received = events.pop() ?? '';
    for (const event of events) {
      const data = /^data: (.*)$/m.exec(event)?.[1];
      if (/^event: next$/m.test(event) && data) {
        yield JSON.parse(data);
      }
    }
  }
}
