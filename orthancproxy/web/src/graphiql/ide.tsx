import 'graphiql/setup-workers/vite';
import { GraphiQL } from 'graphiql';
import { createRoot } from 'react-dom/client';

import { Account, forgetOthers } from './account';
import { exampleTabs } from './examples';
import { createFetcher } from './fetcher';

const container = document.getElementById('graphiql');
if (!container) throw new Error('The page has no element with the id "graphiql".');

const { endpoint, username, loginUrl, logoutUrl, tokensUrl } = container.dataset;

forgetOthers(window.sessionStorage, username);
createRoot(container).render(
  <GraphiQL
    fetcher={createFetcher(endpoint || window.location.pathname)}
    defaultTabs={exampleTabs}
    // Queries name patients and the history keeps request headers, tokens included:
    // neither may outlive the browser tab on a shared workstation.
    storage={window.sessionStorage}
    // Open from the start, since GraphiQL doesn't open it for the tab whose query has variables.
    defaultEditorToolsVisibility="variables"
  >
    <GraphiQL.Logo>
      <span className="title">Orthanc GraphQL</span>
      <Account username={username} loginUrl={loginUrl} logoutUrl={logoutUrl} tokensUrl={tokensUrl} />
    </GraphiQL.Logo>
  </GraphiQL>,
);
