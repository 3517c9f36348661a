import { useTranslation } from 'react-i18next';

import { graphql } from '../graphql/generated';
import type { NameFragment } from '../graphql/generated/graphql';
import i18n from '../i18n';
import type { Language } from '../i18n/languages';
import classes from './PersonName.module.css';

export const NAME = graphql(`
  fragment Name on PersonName {
    formatted
    alphabetic {
      formatted
    }
    ideographicGroup {
      formatted
    }
    phoneticGroup {
      formatted
    }
  }
`);

// what names are written in by those who read the language
const SCRIPTS: Partial<Record<Language, RegExp>> = { ko: /\p{sc=Hang}/u, ja: /\p{sc=Han}|\p{sc=Hira}|\p{sc=Kana}/u };

/** A person's name in all its groups, in the order of `nameGroups`; a text where there is none. */
export function PersonName({ name }: { name: NameFragment | null | undefined }) {
  const { t } = useTranslation('components');
  const groups = nameGroups(name);
  if (groups.length === 0) return <span className={classes.none}>{t('noName')}</span>;
  return (
    <span className={classes.groups}>
      {groups.map((group, index) => (
        <bdi key={group} dir="auto" className={index === 0 ? classes.first : classes.further}>
          {group}
        </bdi>
      ))}
    </span>
  );
}

/**
 * The groups of a name that are not empty, each once: alphabetic, ideographic and phonetic, but first the one in the
 * script of the language.
 */
export function nameGroups(name: NameFragment | null | undefined, language: string = i18n.language): string[] {
  if (!name) return [];
  const groups = [name.alphabetic, name.ideographicGroup, name.phoneticGroup].map((group) => group?.formatted.trim());
  const found = [...new Set(groups.filter((group) => group !== undefined && group !== ''))] as string[];
  const own = found.find((group) => SCRIPTS[language as Language]?.test(group));
  if (own) return [own, ...found.filter((group) => group !== own)];
  return found.length > 0 || !name.formatted.trim() ? found : [name.formatted.trim()];
}
