import { ApolloProvider } from '@apollo/client/react';
import { createTheme, localStorageColorSchemeManager, MantineProvider } from '@mantine/core';
import { Suspense } from 'react';
import { Route, Router, Switch } from 'wouter';

import { client } from '../graphql/client';
import Worklist from '../worklist';
import { config } from './config';
import { Frame } from './Frame';
import { Loading } from './Loading';
import { NotFound } from './NotFound';
import { onDemand } from './onDemand';
import { patterns } from './routes';

// The worklist is what most users open first; everything else is loaded when it is needed.
const Account = onDemand(() => import('../account'), ['account']);
const Audit = onDemand(() => import('../audit'), ['audit']);
const Jobs = onDemand(() => import('../jobs'), ['jobs']);
const Patient = onDemand(() => import('../patient'), ['study']);
const Retrieve = onDemand(() => import('../retrieve'), ['retrieve', 'jobs']);
const Shares = onDemand(() => import('../shares'), ['shares']);
const Status = onDemand(() => import('../status'), ['status']);
const Study = onDemand(() => import('../study'), ['study']);
const Trash = onDemand(() => import('../trash'), ['trash']);
const Upload = onDemand(() => import('../upload'), ['upload']);
const Viewer = onDemand(() => import('../viewer'), ['viewer']);

const theme = createTheme({
  primaryColor: 'blue',
  defaultRadius: 'sm',
  cursorType: 'pointer',
  respectReducedMotion: true,
  components: {
    // the library that locks the page's scrolling writes <style> elements, which the page's policy forbids
    Modal: { defaultProps: { lockScroll: false } },
    Drawer: { defaultProps: { lockScroll: false } },
    // an element that is no item may not take the focus in a menu
    Menu: { defaultProps: { withInitialFocusPlaceholder: false } },
  },
});
const colorSchemes = localStorageColorSchemeManager({ key: 'color-scheme' });

export function App() {
  return (
    <MantineProvider
      theme={theme}
      defaultColorScheme="auto"
      colorSchemeManager={colorSchemes}
      // theme.css has these: the page's policy forbids inline styles
      withCssVariables={false}
      withGlobalClasses={false}
    >
      <ApolloProvider client={client}>
        <Router base={config.base}>
          <Frame>
            <Suspense fallback={<Loading />}>
              <Switch>
                <Route path={patterns.worklist} component={Worklist} />
                <Route path={patterns.account} component={Account} />
                <Route path={patterns.audit} component={Audit} />
                <Route path={patterns.jobs} component={Jobs} />
                <Route path={patterns.retrieve} component={Retrieve} />
                <Route path={patterns.shares} component={Shares} />
                <Route path={patterns.status} component={Status} />
                <Route path={patterns.study} component={Study} />
                <Route path={patterns.viewer} component={Viewer} />
                <Route path={patterns.patient} component={Patient} />
                <Route path={patterns.trash} component={Trash} />
                <Route path={patterns.upload} component={Upload} />
                <Route component={NotFound} />
              </Switch>
            </Suspense>
          </Frame>
        </Router>
      </ApolloProvider>
    </MantineProvider>
  );
}
