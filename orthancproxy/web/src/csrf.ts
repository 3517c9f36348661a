/** What Django wants to see of whoever is logged in, for a request that may change something. */
export function csrfHeader(): Record<string, string> {
  // Read anew for each request: Django changes the token when the user logs in.
  const token = /(?:^|;\s*)csrftoken=([^;]+)/.exec(document.cookie)?.[1];
  return token ? { 'X-CSRFToken': token } : {};
}
