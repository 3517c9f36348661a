import { useTranslation } from 'react-i18next';

import { graphql } from '../graphql/generated';
import type { NameFragment } from '../graphql/generated/graphql';
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

/** A person's name in all its groups: alphabetic, ideographic and phonetic; a text where there is none. */
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

/** The groups of a name that are not empty, each once. */
export function nameGroups(name: NameFragment | null | undefined): string[] {
  if (!name) return [];
  const groups = [name.alphabetic, name.ideographicGroup, name.phoneticGroup].map((group) => group?.formatted.trim());
  const found = [...new Set(groups.filter((group) => group !== undefined && group !== ''))] as string[];
  return found.length > 0 || !name.formatted.trim() ? found : [name.formatted.trim()];
}
