import { useMantineColorScheme } from '@mantine/core';
import { useTranslation } from 'react-i18next';

import { type Language, rememberLanguage } from '../i18n/languages';

export const COLOR_SCHEMES = ['light', 'dark', 'auto'] as const;
export type ColorScheme = (typeof COLOR_SCHEMES)[number];

interface Preferences {
  language: Language;
  colorScheme: ColorScheme;
  setLanguage(language: Language): void;
  setColorScheme(scheme: ColorScheme): void;
}

/** The language and the colours that the user has chosen, which this browser remembers. */
export function usePreferences(): Preferences {
  const { i18n } = useTranslation();
  // without this, the library stops transitions by a <style> element, which the page's policy forbids
  const { colorScheme, setColorScheme } = useMantineColorScheme({ keepTransitions: true });
  return {
    language: i18n.language as Language,
    colorScheme,
    setLanguage(language) {
      rememberLanguage(language);
      void i18n.changeLanguage(language);
    },
    setColorScheme,
  };
}
