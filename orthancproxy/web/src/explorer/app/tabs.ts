import { client } from '../graphql/client';
import { graphql } from '../graphql/generated';
import { config } from './config';
import { isLoginNeeded, setLoginNeeded } from './login';

const USER = graphql(`
  query User {
    viewer {
      username
    }
  }
`);

// of the tabs of one gateway: several may be mounted on a site
const tabs = new BroadcastChannel(`session of ${config.base}/`);

/** Tell the other tabs who is logged in; an empty name is nobody. */
export function announceUser(username: string): void {
  tabs.postMessage(username);
}

/** Let no tab show to one user what it has loaded for another. */
export function followOtherTabs(): void {
  tabs.onmessage = ({ data: username }: MessageEvent<string>) => follow(username);
}

/** Ask who is logged in now, and go on if it is the user of this page. */
export async function checkUser(): Promise<void> {
  const { data } = await client.query({ query: USER, fetchPolicy: 'no-cache' });
  if (data) follow(data.viewer.username ?? '');
}

function follow(username: string): void {
  if (username === config.username) resume();
  else if (username) location.reload();
  else setLoginNeeded(true);
}

function resume(): void {
  // each page that is opened announces its user: the others have nothing to read again
  if (!isLoginNeeded()) return;
  setLoginNeeded(false);
  void client.refetchQueries({ include: 'active' });
}
