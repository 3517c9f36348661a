import { useLazyQuery } from '@apollo/client/react';

import { graphql } from '../graphql/generated';

const KNOWN_LABELS = graphql(`
  query KnownLabels {
    labels {
      label
    }
  }
`);

/** The labels that the archive has, and the function that reads them: those who may not know them get none. */
export function useKnownLabels(): [labels: readonly string[], load: () => void] {
  const [load, { data }] = useLazyQuery(KNOWN_LABELS, { fetchPolicy: 'cache-and-network' });
  // they are suggestions: whatever is typed works without them
  return [data?.labels.map(({ label }) => label) ?? [], () => void load().catch(() => undefined)];
}
