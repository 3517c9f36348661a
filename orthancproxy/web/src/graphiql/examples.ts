import type { GraphiQLProps } from 'graphiql';

// Plain files, so that the Python tests can run the same queries against a real archive.
import hierarchy from '../../examples/hierarchy.graphql?raw';
import images from '../../examples/images.graphql?raw';
import search from '../../examples/search.graphql?raw';
import searchVariables from '../../examples/search.variables.json?raw';
import server from '../../examples/server.graphql?raw';
import viewer from '../../examples/viewer.graphql?raw';

export const exampleTabs: NonNullable<GraphiQLProps['defaultTabs']> = [
  { query: hierarchy },
  { query: search, variables: searchVariables },
  { query: images },
  { query: server },
  { query: viewer },
];
