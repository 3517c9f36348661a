import type { CodegenConfig } from '@graphql-codegen/cli';

/** Types of the operations, from the schema that the gateway's own checks keep current. */
const config: CodegenConfig = {
  schema: '../../schema/schema.graphql',
  documents: ['src/explorer/**/*.{ts,tsx}', '!src/explorer/graphql/generated/**'],
  generates: {
    'src/explorer/graphql/generated/': {
      preset: 'client',
      presetConfig: { fragmentMasking: false },
      config: {
        enumsAsTypes: true,
        useTypeImports: true,
        strictScalars: true,
        scalars: {
          ByteCount: 'number',
          Date: 'string',
          DateTime: 'string',
          JSON: 'unknown',
          Time: 'string',
          Upload: 'File',
        },
      },
    },
  },
};

export default config;
