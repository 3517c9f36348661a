import { useLazyQuery } from '@apollo/client/react';

import { graphql } from '../graphql/generated';

const KNOWN_LABELS = graphql(`
  query KnownLabels {
    labels {
      label
      count
    }
  }
`);

/**
 * The labels that the archive has, with how many resources have them, and the function that reads them: those who may
 * not know them get none.
 */
export function useKnownLabels(): [counts: ReadonlyMap<string, number>, load: () => void] {
  const [load, { data }] = useLazyQuery(KNOWN_LABELS, { fetchPolicy: 'cache-and-network' });
  // they are suggestions: whatever is typed works without them
  return [new Map(data?.labels.map(({ label, count }) => [label, count])), () => void load().catch(() => undefined)];
}
