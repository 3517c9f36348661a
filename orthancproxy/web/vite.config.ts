import { defineConfig } from 'vitest/config';

import { bundle } from './bundle.ts';
import { cornerstone } from './cornerstone.ts';
import { inlineOperations } from './operations.ts';

const gateway = process.env.GATEWAY ?? 'http://127.0.0.1:8000';

export default defineConfig({
  plugins: [inlineOperations(), cornerstone()],
  ...bundle('explorer', { entry: 'src/explorer/main.tsx', largestChunkKb: 6000 }),
  worker: { format: 'es', plugins: () => [cornerstone()] },
  test: { setupFiles: 'vitest.setup.ts' },
  server: {
    // The host stays that of the page, so that Django's check of a form's origin passes.
    proxy: Object.fromEntries(
      ['/graphql', '/api', '/dicom-web', '/share', '/login', '/logout', '/tokens', '/admin', '/static', '/ohif'].map(
        (path) => [`^${path}(/|$)`, { target: gateway, changeOrigin: false }],
      ),
    ),
  },
});
