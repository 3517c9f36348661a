import { CombinedGraphQLErrors, ServerError } from '@apollo/client/errors';
import { expect, test } from 'vitest';

import { asFailure } from './errors';

function serverError(status: number, bodyText: string): Error {
  const response = new Response(bodyText, { status, headers: { 'X-Request-ID': 'one' } });
  return new ServerError('…', { response, bodyText });
}

test('an error of GraphQL has its code, its message and the id of the request', () => {
  const error = { message: 'No.', extensions: { code: 'FORBIDDEN', requestId: 'one' } };
  const failure = asFailure(new CombinedGraphQLErrors({ errors: [error] }));
  expect(failure).toEqual({ code: 'FORBIDDEN', message: 'No.', requestId: 'one' });
});

test.each([
  ['of GraphQL', '{"errors": [{"message": "No.", "extensions": {"code": "CSRF_FAILED"}}]}'],
  ['of REST', '{"detail": "No.", "code": "CSRF_FAILED"}'],
])('a response with an error status is read as one %s', (_, body) => {
  expect(asFailure(serverError(403, body))).toEqual({ code: 'CSRF_FAILED', message: 'No.', requestId: 'one' });
});

test.each([
  [401, 'UNAUTHENTICATED'],
  [403, 'FORBIDDEN'],
  [502, 'GATEWAY_UNAVAILABLE'],
  [500, 'INTERNAL'],
])('the page of a proxy with the status %d is %s', (status, code) => {
  expect(asFailure(serverError(status, '<html>'))).toEqual({ code, requestId: 'one' });
});

test('a server that cannot be reached is told from other errors', () => {
  expect(asFailure(new TypeError('Failed to fetch'))).toEqual({ code: 'NETWORK' });
  expect(asFailure(new Error('odd'))).toEqual({ code: 'UNKNOWN', message: 'odd' });
});
