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

async function logOut(url: string): Promise<void> {
  try {
    // Whatever page Django leads to after it is of no interest.
    await fetch(url, { method: 'POST', credentials: 'same-origin', redirect: 'manual', headers: csrfHeader() });
  } finally {
    // The next user must not read what this one asked.
    window.sessionStorage.clear();
    // The page tells who is logged in, also where that failed.
    window.location.reload();
  }
}
