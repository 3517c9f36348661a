import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';

import '../i18n';
import { App } from './App';
import { config } from './config';
import { announceUser, followOtherTabs } from './tabs';

const container = document.getElementById('explorer');
if (!container) throw new Error('The page has no element with the id "explorer".');

followOtherTabs();
// after a login, too
announceUser(config.username);
createRoot(container).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
