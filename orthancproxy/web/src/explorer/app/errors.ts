import { CombinedGraphQLErrors, ServerError } from '@apollo/client/errors';

/** What the page knows of an error: the code of the API, or one of the page's own. */
export interface Failure {
  code: string;
  /** The server's own sentence, in English. */
  message?: string;
  /** Under which the gateway's log has the request. */
  requestId?: string;
}

/** An error of a request that Apollo Client does not send. */
export class CodedError extends Error {
  constructor(
    readonly code: string,
    message?: string,
    readonly requestId?: string,
  ) {
    super(message);
  }
}

/** Reads an error of Apollo Client, or of `fetch`. */
export function asFailure(error: Error): Failure {
  if (CombinedGraphQLErrors.is(error)) {
    const [first] = error.errors;
    const { code, requestId } = (first?.extensions ?? {}) as { code?: string; requestId?: string };
    return { code: code ?? 'INTERNAL', message: first?.message, requestId };
  }
  if (error instanceof CodedError) return { code: error.code, message: error.message, requestId: error.requestId };
  if (ServerError.is(error)) {
    const requestId = error.response.headers.get('X-Request-ID') ?? undefined;
    return { ...(firstError(error.bodyText) ?? { code: byStatus(error.statusCode) }), requestId };
  }
  // what `fetch` throws where the server cannot be reached
  return error instanceof TypeError ? { code: 'NETWORK' } : { code: 'UNKNOWN', message: error.message };
}

/** The error in the body of a response that has an error status, if it is the API's. */
function firstError(body: string): Pick<Failure, 'code' | 'message'> | undefined {
  try {
    const parsed = JSON.parse(body);
    const found = parsed.errors?.[0] ?? parsed;
    const code = found.extensions?.code ?? found.code;
    return typeof code === 'string' ? { code, message: found.message ?? found.detail } : undefined;
  } catch {
    return undefined;
  }
}

function byStatus(status: number): string {
  if (status === 401) return 'UNAUTHENTICATED';
  if (status === 403) return 'FORBIDDEN';
  return status === 502 || status === 503 || status === 504 ? 'GATEWAY_UNAVAILABLE' : 'INTERNAL';
}
