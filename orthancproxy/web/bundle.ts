import type { UserConfig } from 'vite';

interface Options {
  entry: string;
  largestChunkKb: number;
}

/** How each page is built: into a folder of Django's static files, with names that the page's template can link. */
export function bundle(page: string, { entry, largestChunkKb }: Options): UserConfig {
  return {
    // Chunks and workers find each other relative to their own address, so the bundle works under any STATIC_URL.
    base: './',
    publicDir: false,
    // Workers load parts of themselves on demand, which only module workers can.
    worker: { format: 'es' },
    build: {
      outDir: `../static/orthancproxy/${page}`,
      emptyOutDir: true,
      // One style sheet with a fixed name, which the template links.
      cssCodeSplit: false,
      // A policy without `data:` for fonts and workers allows files only.
      assetsInlineLimit: 0,
      modulePreload: { polyfill: false },
      chunkSizeWarningLimit: largestChunkKb,
      license: { fileName: 'THIRD-PARTY-LICENSES.md' },
      rolldownOptions: {
        input: { [page]: entry },
        // Several dependencies carry React's "use client", which means nothing in a browser.
        onwarn(warning, warn) {
          if (warning.code !== 'MODULE_LEVEL_DIRECTIVE') warn(warning);
        },
        output: {
          entryFileNames: '[name].js',
          chunkFileNames: 'assets/[name]-[hash].js',
          codeSplitting: {
            groups: [
              // Kept out of the entry, which nothing may import: Django's manifest storage serves it under a second name.
              { name: 'preload', test: /vite\/preload-helper/, priority: 1 },
              // What the first page needs is one file: as 33, it was 12 kB larger, compressed.
              { name: 'frame', test: /\/app\/mount\.tsx$/ },
            ],
          },
          assetFileNames: ({ names }) =>
            names.some((name) => name.endsWith('.css')) ? `${page}.css` : 'assets/[name]-[hash][extname]',
        },
      },
    },
  };
}
