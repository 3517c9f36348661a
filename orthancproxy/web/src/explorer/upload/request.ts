import { print } from 'graphql';
import { config } from '../app/config';
import { CodedError } from '../app/errors';
import { setLoginNeeded } from '../app/login';
import { requestHeaders } from '../graphql/client';
import { graphql } from '../graphql/generated';
import type { UploadErrorCode } from '../graphql/generated/graphql';
import type { SelectedFile } from './files';

const UPLOAD = graphql(`
  mutation UploadPatient($input: UploadInput!) {
    uploadPatient(input: $input) {
      uploaded
      alreadyStored
      failed {
        index
        name
        seriesPath
        code
      }
      warnings
      study {
        orthancId
      }
    }
  }
`);

/** The values of all requests of an upload. */
export interface UploadValues {
  readonly patientId: string;
  /** The patient ID if empty. */
  readonly patientName: string;
  /** That of the files if empty. */
  readonly studyDescription: string;
  readonly uploadKey: string;
}

/** Why a file is not stored. `name` and `seriesPath` are those in the ZIP if the file is one. */
export interface Failure {
  readonly index: number;
  readonly name: string;
  readonly seriesPath: string | null;
  /** The gateway's, or why a file was not sent: it is larger than the gateway allows, or changed since it was chosen. */
  readonly code: UploadErrorCode | 'OVER_LIMIT' | 'CHANGED';
}

/** The outcome of one request. */
export interface ChunkResult {
  readonly uploaded: number;
  readonly alreadyStored: number;
  readonly failed: readonly Failure[];
  readonly warnings: readonly string[];
  readonly study: { readonly orthancId: string } | null;
}

const TEMPORARY: readonly string[] = [
  'NETWORK',
  'ARCHIVE_UNAVAILABLE',
  'GATEWAY_UNAVAILABLE',
  'INSUFFICIENT_STORAGE',
  'CLIENT_DISCONNECTED',
];

/** A request without result. `code` is that of GraphQL, or follows from the status. */
export class UploadError extends CodedError {
  /** Whether the same request can succeed later. */
  get isTemporary(): boolean {
    return TEMPORARY.includes(this.code);
  }
}

/** Sends a chunk of files. Rejects with UploadError. */
export type SendChunk = (
  files: readonly SelectedFile[],
  values: UploadValues,
  onProgress: (sentBytes: number) => void,
  signal: AbortSignal,
) => Promise<ChunkResult>;

/** Send files as a GraphQL multipart request, by XMLHttpRequest: fetch does not tell how much is sent. */
export const sendChunk: SendChunk = (files, values, onProgress, signal) => {
  const form = new FormData();
  // the map of the form says which file takes the place of which null
  const input = { ...values, files: files.map(() => null), seriesPaths: files.map(({ folder }) => folder) };
  form.set('operations', JSON.stringify({ query: print(UPLOAD), variables: { input } }));
  form.set('map', JSON.stringify(Object.fromEntries(files.map((_, at) => [at, [`variables.input.files.${at}`]]))));
  for (const [at, { file }] of files.entries()) form.set(String(at), file);
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.upload.onprogress = ({ loaded }) => onProgress(loaded);
    request.onload = () => {
      try {
        resolve(resultOf(request));
      } catch (error) {
        reject(error);
      }
    };
    request.onerror = request.onabort = () => reject(new UploadError('NETWORK'));
    signal.addEventListener('abort', () => request.abort());
    request.open('POST', config.graphqlUrl);
    for (const [name, value] of Object.entries(requestHeaders())) request.setRequestHeader(name, value);
    request.responseType = 'json';
    request.send(form);
  });
};

const CODE_OF_STATUS: Readonly<Record<number, string>> = {
  401: 'UNAUTHENTICATED',
  403: 'FORBIDDEN',
  413: 'LIMIT_EXCEEDED',
  429: 'GATEWAY_UNAVAILABLE',
  502: 'GATEWAY_UNAVAILABLE',
  503: 'GATEWAY_UNAVAILABLE',
  504: 'GATEWAY_UNAVAILABLE',
  507: 'INSUFFICIENT_STORAGE',
};

function resultOf(request: XMLHttpRequest): ChunkResult {
  const { data, errors } = request.response ?? {};
  if (data?.uploadPatient) return data.uploadPatient;
  const [error] = errors ?? [];
  const code = error?.extensions?.code ?? CODE_OF_STATUS[request.status] ?? 'INTERNAL';
  if (code === 'UNAUTHENTICATED') setLoginNeeded(true);
  throw new UploadError(
    code,
    error?.message,
    error?.extensions?.requestId ?? request.getResponseHeader('X-Request-ID') ?? undefined,
  );
}
