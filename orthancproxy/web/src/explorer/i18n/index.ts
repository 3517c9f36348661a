import i18n from 'i18next';
import { initReactI18next } from 'react-i18next';

import * as account from '../account/texts';
import * as app from '../app/texts';
import * as components from '../components/texts';
import * as status from '../status/texts';
import * as worklist from '../worklist/texts';
import { preferredLanguage } from './languages';

// each feature's texts are in its own folder
const features = { account, app, components, status, worklist };

type Features = typeof features;

declare module 'i18next' {
  interface CustomTypeOptions {
    defaultNS: 'app';
    resources: { [Name in keyof Features]: Features[Name]['en'] };
  }
}

function resources(language: 'en' | 'ko' | 'ja') {
  return Object.fromEntries(Object.entries(features).map(([name, texts]) => [name, texts[language]]));
}

void i18n.use(initReactI18next).init({
  lng: preferredLanguage(),
  fallbackLng: 'en',
  defaultNS: 'app',
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
