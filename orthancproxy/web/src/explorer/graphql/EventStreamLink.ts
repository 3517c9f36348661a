import { ApolloLink } from '@apollo/client';
import type { FormattedExecutionResult } from 'graphql';
import { print } from 'graphql';
import { createClient } from 'graphql-sse';
import { Observable } from 'rxjs';

/** Subscriptions over server-sent events, one connection each (graphql-sse's distinct connections mode). */
export class EventStreamLink extends ApolloLink {
  private readonly client;

  constructor(url: string, headers: () => Record<string, string>) {
    super();
    // a stream that breaks off is an error: its reader knows the cursor after which to continue
    this.client = createClient({ url, headers, credentials: 'same-origin', retryAttempts: 0 });
  }

  override request(operation: ApolloLink.Operation): Observable<ApolloLink.Result> {
    const { query, variables, operationName, extensions } = operation;
    return new Observable((observer) =>
      this.client.subscribe<ApolloLink.Result['data']>(
        { query: print(query), variables, operationName, extensions },
        {
          next: (result) => observer.next(result as FormattedExecutionResult),
          error: (error) => observer.error(error),
          complete: () => observer.complete(),
        },
      ),
    );
  }
}
