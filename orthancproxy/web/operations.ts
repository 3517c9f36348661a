import { readFileSync } from 'node:fs';
import type { Plugin } from 'vite';

const GENERATED = new URL('src/explorer/graphql/generated/graphql.ts', import.meta.url);
const DOCUMENT = /^export const (\w+) = (\{.*\}) as unknown as DocumentNode/gm;
const OPERATION = /\bgraphql\(`\s*(query|mutation|subscription|fragment) (\w+)[^`]*`\)/g;

/**
 * Puts each parsed operation where it is written. Codegen's `graphql` function looks it up in a table of all operations
 * instead, so that the worklist would load those of every page.
 */
export function inlineOperations(): Plugin {
  let documents = new Map<string, string>();
  return {
    name: 'inline-operations',
    apply: 'build',
    buildStart() {
      const generated = readFileSync(GENERATED, 'utf8');
      documents = new Map([...generated.matchAll(DOCUMENT)].map(([, name = '', json = '']) => [name, json]));
    },
    transform: {
      filter: { id: /\/src\/explorer\/.*\.tsx?$/, code: 'graphql(`' },
      handler: (code) =>
        code.replace(OPERATION, (_, kind: string, name: string) => {
          const document = documents.get(`${name}${kind === 'fragment' ? 'FragmentDoc' : 'Document'}`);
          if (!document) throw new Error(`Run \`npm run codegen\`: it has not generated ${name}.`);
          return document;
        }),
    },
  };
}
