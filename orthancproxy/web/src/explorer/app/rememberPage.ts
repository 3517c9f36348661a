/** Returns a function that says whether the reader is still on the page of now. */
export function rememberPage(): () => boolean {
  const { pathname } = window.location;
  return () => window.location.pathname === pathname;
}
