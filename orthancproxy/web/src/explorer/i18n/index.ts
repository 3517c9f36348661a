import i18n, { type BackendModule } from 'i18next';
import { initReactI18next } from 'react-i18next';

import * as app from '../app/texts';
import * as components from '../components/texts';
import * as worklist from '../worklist/texts';
import { type Language, preferredLanguage } from './languages';

// each feature's texts are in its own folder: these are on the first page
const first = { app, components, worklist };
// and these are loaded when a component first uses them
const further = {
  account: () => import('../account/texts'),
  anonymize: () => import('../anonymize/texts'),
  audit: () => import('../audit/texts'),
  correction: () => import('../correction/texts'),
  jobs: () => import('../jobs/texts'),
  retrieve: () => import('../retrieve/texts'),
  shares: () => import('../shares/texts'),
  status: () => import('../status/texts'),
  study: () => import('../study/texts'),
  trash: () => import('../trash/texts'),
  upload: () => import('../upload/texts'),
  viewer: () => import('../viewer/texts'),
};

type First = typeof first;
type Further = typeof further;

declare module 'i18next' {
  interface CustomTypeOptions {
    defaultNS: 'app';
    resources: { [Name in keyof First]: First[Name]['en'] } & {
      [Name in keyof Further]: Awaited<ReturnType<Further[Name]>>['en'];
    };
  }
}

const backend: BackendModule = {
  type: 'backend',
  init: () => undefined,
  read: async (language, name) => (await further[name as keyof Further]())[language as Language],
};

function resources(language: Language) {
  return Object.fromEntries(Object.entries(first).map(([name, texts]) => [name, texts[language]]));
}

void i18n
  .use(backend)
  .use(initReactI18next)
  .init({
    lng: preferredLanguage(),
    // the compiler knows of every text that it is in every language
    fallbackLng: false,
    ns: Object.keys(first),
    defaultNS: 'app',
    partialBundledLanguages: true,
    resources: { en: resources('en'), ko: resources('ko'), ja: resources('ja') },
    // React escapes what it renders
    interpolation: { escapeValue: false },
    initAsync: false,
  });

i18n.on('languageChanged', showLanguage);
showLanguage(i18n.language);

/** So that screen readers and fonts know it. */
function showLanguage(language: string): void {
  document.documentElement.lang = language;
}

export default i18n;
