import { csrfHeader } from './csrf';

interface AccountProps {
  /** Empty for somebody who is not logged in. */
  username?: string;
  /** Empty where there is no page to log in on. */
  loginUrl?: string;
  /** Empty where the project has no such address. */
  logoutUrl?: string;
}

/** Who is logged in, and the way in or out. */
export function Account({ username, loginUrl, logoutUrl }: AccountProps) {
  if (!username) return loginUrl ? <a href={loginUrl}>Log in</a> : null;
  return (
    <>
      <span className="username" title={`Logged in as ${username}`}>
        {username}
      </span>
      {logoutUrl && (
        <button type="button" onClick={() => void logOut(logoutUrl)}>
          Log out
        </button>
      )}
    </>
  );
}

/** Forgets what another user wrote in this tab: GraphiQL keeps writing it down until the page is left. */
export function forgetOthers(storage: Storage, username = ''): void {
  const known = storage.getItem('account');
  if (known && known !== username) storage.clear();
  storage.setItem('account', username);
}

async function logOut(url: string): Promise<void> {
  try {
    // Whatever page Django leads to after it is of no interest.
    await fetch(url, { method: 'POST', credentials: 'same-origin', redirect: 'manual', headers: csrfHeader() });
  } finally {
    // The page tells who is logged in, also where that failed.
    window.location.reload();
  }
}
