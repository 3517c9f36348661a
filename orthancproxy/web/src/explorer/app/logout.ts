import { requestHeaders } from '../graphql/client';
import { config } from './config';
import { announceUser } from './tabs';

/** Ends the session, and loads the page anew: nothing of what the user saw stays in memory. */
export async function logOut(): Promise<void> {
  try {
    // the page that Django redirects to is not needed
    await fetch(config.logoutUrl, {
      method: 'POST',
      credentials: 'same-origin',
      redirect: 'manual',
      headers: requestHeaders(),
    });
    announceUser('');
  } finally {
    // the page shows who is logged in, also if that failed; the address may name a patient
    location.assign(`${config.base}/`);
  }
}
