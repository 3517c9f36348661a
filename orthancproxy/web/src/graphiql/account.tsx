import { csrfHeader } from '../csrf';
import { endSession } from '../logout';

interface AccountProps {
  /** Empty for an anonymous caller. */
  username?: string;
  /** Empty where the project has no login page. */
  loginUrl?: string;
  /** Empty where the project has no such address. */
  logoutUrl?: string;
  /** Empty where the project has no page of the user's tokens. */
  tokensUrl?: string;
}

/** The user's name, and links to log in or out and to the user's tokens. */
export function Account({ username, loginUrl, logoutUrl, tokensUrl }: AccountProps) {
  if (!username) return loginUrl ? <a href={loginUrl}>Log in</a> : null;
  return (
    <>
      <span className="username" title={`Logged in as ${username}`}>
        {username}
      </span>
      {tokensUrl && <a href={tokensUrl}>API tokens</a>}
      {logoutUrl && (
        <button type="button" onClick={() => void logOut(logoutUrl)}>
          Log out
        </button>
      )}
    </>
  );
}

/** Clears what another user entered in this tab: GraphiQL stores it until the page is left. */
export function forgetOthers(storage: Storage, username = ''): void {
  const known = storage.getItem('account');
  if (known && known !== username) storage.clear();
  storage.setItem('account', username);
}

async function logOut(url: string): Promise<void> {
  let next = '';
  try {
    next = await endSession(url, csrfHeader());
  } finally {
    // the reloaded page shows who is logged in, also if that failed
    if (next) window.location.assign(next);
    else window.location.reload();
  }
}
