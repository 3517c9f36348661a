import { defineConfig } from 'vite';

export default defineConfig({
  // Chunks and workers find each other relative to their own address, so the bundle works under any STATIC_URL.
  base: './',
  publicDir: false,
  // The GraphQL worker loads parts of itself on demand, which only module workers can.
  worker: { format: 'es' },
  build: {
    outDir: '../static/orthancproxy/graphiql',
    emptyOutDir: true,
    // One style sheet with a fixed name, which the Django template can link.
    cssCodeSplit: false,
    modulePreload: { polyfill: false },
    // The editor, Monaco, is one chunk of 2.8 MB (0.7 MB compressed), loaded on demand.
    chunkSizeWarningLimit: 4000,
    license: { fileName: 'THIRD-PARTY-LICENSES.md' },
    rolldownOptions: {
      input: { graphiql: 'src/main.ts' },
      // Several dependencies carry React's "use client", which means nothing in a browser.
      onwarn(warning, warn) {
        if (warning.code !== 'MODULE_LEVEL_DIRECTIVE') warn(warning);
      },
      output: {
        entryFileNames: '[name].js',
        chunkFileNames: 'assets/[name]-[hash].js',
        // Kept out of the entry, which nothing may import (see src/main.ts).
        codeSplitting: { groups: [{ name: 'preload', test: /vite\/preload-helper/ }] },
        assetFileNames: ({ names }) =>
          names.some((name) => name.endsWith('.css')) ? 'graphiql.css' : 'assets/[name]-[hash][extname]',
      },
    },
  },
});
