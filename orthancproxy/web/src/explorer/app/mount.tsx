import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';

import '../i18n';
import { App } from './App';

const container = document.getElementById('explorer');
if (!container) throw new Error('The page has no element with the id "explorer".');

createRoot(container).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
