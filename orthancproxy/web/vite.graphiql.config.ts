import { defineConfig } from 'vite';

import { bundle } from './bundle.ts';

export default defineConfig(
  bundle('graphiql', {
    entry: 'src/graphiql/main.ts',
    // The editor, Monaco, is one chunk of 2.8 MB (0.7 MB compressed), loaded on demand.
    largestChunkKb: 4000,
  }),
);
