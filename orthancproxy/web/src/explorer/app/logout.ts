import { endSession } from '../../logout';
import { requestHeaders } from '../graphql/client';
import { config } from './config';
import { announceUser } from './tabs';

/** Ends the session, and loads the page anew: nothing of what the user saw stays in memory. */
export async function logOut(): Promise<void> {
  let url = '';
  try {
    url = await endSession(config.logoutUrl, requestHeaders());
    announceUser('');
  } finally {
    // the page shows who is logged in, also if that failed; the address may name a patient
    location.assign(url || `${config.base}/`);
  }
}
