/** The CSRF token of the session, if there is one, as the header that Django expects. */
export function csrfHeader(): Record<string, string> {
  // read for each request: Django changes the token when the user logs in
  const token = /(?:^|;\s*)csrftoken=([^;]+)/.exec(document.cookie)?.[1];
  return token ? { 'X-CSRFToken': token } : {};
}
