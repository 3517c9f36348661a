import { client } from '../graphql/client';
import { graphql } from '../graphql/generated';
import { config } from './config';
import { setLoginNeeded } from './login';

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
  tabs.onmessage = ({ data: username }: MessageEvent<string>) => {
    if (username === config.username) resume();
    else if (username) location.reload();
    else setLoginNeeded(true);
  };
}

/** Go on after a login in another tab: as the same user, or anew. */
export async function checkUser(): Promise<void> {
  const { data } = await client.query({ query: USER, fetchPolicy: 'no-cache' });
  if (!data) return;
  if ((data.viewer.username ?? '') === config.username) resume();
  else location.reload();
}

function resume(): void {
  setLoginNeeded(false);
  void client.refetchQueries({ include: 'active' });
}
