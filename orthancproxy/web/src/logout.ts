/**
 * Ends the session, and returns where to go: to the identity provider, which ends its own session too, or nowhere in
 * particular (empty).
 */
export async function endSession(url: string, headers: Record<string, string>): Promise<string> {
  const answer = await fetch(url, {
    method: 'POST',
    credentials: 'same-origin',
    // a project's own logout redirects to a page, which is not needed
    redirect: 'manual',
    headers: { ...headers, Accept: 'application/json' },
  });
  const isJson = answer.headers.get('Content-Type')?.startsWith('application/json');
  return answer.ok && isJson ? ((await answer.json()) as { url: string }).url : '';
}
