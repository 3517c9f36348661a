/** What the gateway tells the page. A URL is empty where the project has no such address. */
export interface Config {
  /** The path under which the page is mounted, without a slash at the end; empty at the root of the site. */
  base: string;
  /** Of the session; empty for an anonymous caller. */
  username: string;
  graphqlUrl: string;
  /** The root of the REST API, with a slash at the end. */
  restUrl: string;
  /** The root of DICOMweb, with a slash at the end. */
  dicomwebUrl: string;
  /** The login page; `loginUrlTo` adds where to go afterwards. */
  loginUrl: string;
  logoutUrl: string;
  tokensUrl: string;
  /** Empty for callers without access to the admin site. */
  adminUrl: string;
  docsUrl: string;
  /** The cookie from which Django reads the language of its own pages, such as the login page. */
  languageCookie: string;
}

export const config: Config = JSON.parse(document.getElementById('config')?.textContent ?? '{}');

/** The address of the login page, which leads back to `path`: by default to where the user is. */
export function loginUrlTo(path = location.pathname + location.search): string {
  if (!config.loginUrl) return '';
  const url = new URL(config.loginUrl, location.href);
  url.searchParams.set('next', path);
  return url.href;
}
