import { useTranslation } from 'react-i18next';

import classes from './Labels.module.css';

/** The labels of a resource in Orthanc. */
export function Labels({ labels }: { labels: readonly string[] | null | undefined }) {
  const { t } = useTranslation('study');
  if (!labels?.length) return null;
  return (
    <ul className={classes.labels} aria-label={t('labels')}>
      {labels.map((label) => (
        <li key={label}>{label}</li>
      ))}
    </ul>
  );
}
