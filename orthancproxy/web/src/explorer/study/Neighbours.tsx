import { useTranslation } from 'react-i18next';
import { Link } from 'wouter';

import { patientPath, studyPath } from '../app/routes';
import type { StudyPageQuery } from '../graphql/generated/graphql';
import { formatDate, formatNumber } from '../i18n/format';
import { Modalities } from './Modalities';
import classes from './Neighbours.module.css';

/** The patient's other studies, the newest first. */
export function Neighbours({ study }: { study: NonNullable<StudyPageQuery['study']> }) {
  const { t } = useTranslation('study');
  const { patient } = study;
  const others = patient.studies.filter(({ id }) => id !== study.id);
  return (
    <aside className={classes.neighbours} aria-labelledby="neighbours">
      <h2 id="neighbours" className={classes.title}>
        {t('neighbours')}
      </h2>
      {others.length === 0 && <p className={classes.none}>{t('noNeighbours')}</p>}
      <ul className={classes.list}>
        {others.map((other) => (
          <li key={other.id}>
            <Link href={studyPath(other.orthancId)} className={classes.link}>
              <span className={classes.description}>
                <bdi dir="auto">{other.description || t('noDescription')}</bdi>
              </span>
              <span className={classes.facts}>
                <Modalities modalities={other.modalities} />
                {formatDate(other.studyDate)}
              </span>
            </Link>
          </li>
        ))}
      </ul>
      {patient.studiesCount > patient.studies.length && (
        <Link href={patientPath(patient.orthancId)} className={classes.all}>
          {t('allStudies', { number: formatNumber(patient.studiesCount) })}
        </Link>
      )}
    </aside>
  );
}
